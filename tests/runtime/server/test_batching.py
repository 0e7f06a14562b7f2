"""Requests that differ in everything stand in one batch, and each gets the image that it would get alone."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from runtime import Bundle, Generator
from runtime.parity import assert_same
from runtime.server.models import Drawings
from tests.runtime.server.running import Running, running
from tests.runtime.server.test_generate import pixels_of
from tests.runtime.server.test_guards import SECONDS, Held, until


def drawn_together(server: Running, requests: list[dict[str, Any]]) -> list[np.ndarray]:
    """The answers of requests that were sent while another was drawn."""
    answers: list[np.ndarray | None] = [None] * len(requests)

    def ask(index: int) -> None:
        answers[index] = pixels_of(server.generate(format="raw", **requests[index]))[0]

    with Held(server) as held:
        first = threading.Thread(target=server.generate, kwargs={**requests[0], "seed": 99})
        first.start()
        assert held.began.wait(SECONDS)
        threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(requests))]
        for thread in threads:
            thread.start()
        until(lambda: server.service.worker("cpu").depth == len(requests))
        held.may_draw.set()
        for thread in [first, *threads]:
            thread.join(SECONDS)
        assert held.sizes == [1, len(requests)]
    return [answer for answer in answers if answer is not None]


def alone(server: Running, requests: list[dict[str, Any]]) -> list[np.ndarray]:
    return [pixels_of(server.generate(format="raw", **request))[0] for request in requests]


def test_seeds_psi_masks_noise_and_edits(tiny_bundle: Bundle) -> None:
    direction = {"direction": [0.3] * tiny_bundle.spec.w_dim, "amount": 2.0, "layers": "0-2"}
    requests: list[dict[str, Any]] = [
        {"seed": 1, "psi": 0.7},
        {"seed": 2, "psi": -1.0, "cutoff": 2},
        {"seed": 1, "noise": "none"},
        {"seed": 1, "noise": 5},
        {"seed": 1, "mix": {"seed": 2, "layers": "coarse"}},
        {"seed": 3, "mix": [{"seed": 4, "weight": 0.5}, {"seed": 5, "layers": [1]}], "psi": 0.5, "noise": 6},
        {"seed": 1, "edit": direction},
    ]
    with running({"tiny": tiny_bundle}) as server:
        together = drawn_together(server, requests)
        expected = alone(server, requests)
        assert_same(np.stack(expected), np.stack(together))
        assert len({image.tobytes() for image in together}) == len(requests)
    generator = Generator.load(tiny_bundle, threads=1)
    assert_same(generator.generate([1], noise=5), together[3][None])


def test_classes(conditional_bundle: Bundle) -> None:
    requests = [{"seed": 7, "class": number} for number in range(3)]
    with running({"classes": conditional_bundle}) as server:
        together = drawn_together(server, requests)
        assert_same(np.stack(alone(server, requests)), np.stack(together))
        assert len({image.tobytes() for image in together}) == len(requests)


def test_turns(stylegan3_bundle: Bundle) -> None:
    requests: list[dict[str, Any]] = [{"seed": 1}, {"seed": 1, "rotate": 45}, {"seed": 1, "translate": [0.25, 0.0]}]
    with running({"turned": stylegan3_bundle}) as server:
        together = drawn_together(server, requests)
        assert_same(np.stack(alone(server, requests)), np.stack(together))
        assert len({image.tobytes() for image in together}) == len(requests)


def test_bundles_are_drawn_apart(tiny_bundle: Bundle, stylegan1_bundle: Bundle) -> None:
    """Two of one spec would not mix either: a batch is of one generator."""
    with running({"one": tiny_bundle, "other": stylegan1_bundle}) as server:
        kinds: list[Drawings] = [server.service.models.get(name).pictures["pixels"] for name in ("one", "other")]
        assert kinds[0] is not kinds[1]
        found = [raw for name in ("one", "other") for raw in alone(server, [{"model": name, "seed": 1}])]
        expected = [Generator.load(bundle, threads=1).generate([1])[0] for bundle in (tiny_bundle, stylegan1_bundle)]
        np.testing.assert_array_equal(np.stack(found), np.stack(expected))
