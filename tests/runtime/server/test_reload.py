"""A bundle that is replaced while it is served."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.output import move_into_place
from runtime.server.models import ModelSource
from tests.runtime.server.running import Running, running
from tests.runtime.server.test_generate import pixels_of
from tests.runtime.server.test_guards import Held


@pytest.fixture
def served(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of a bundle that may be replaced."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "served"))


def replace(served: Path, other: Bundle) -> None:
    """As `export --force` does."""
    staged = Path(shutil.copytree(other.path, served.parent / "staged"))
    move_into_place(staged, served)


def draws(server: Running) -> np.ndarray:
    return pixels_of(server.generate(seed=1, format="raw"))


def test_the_new_bundle_draws(served: Path, stylegan1_bundle: Bundle) -> None:
    with running([ModelSource("it", served, threads=1)], reload_seconds=0.05) as server:
        tag = server.client.head("/v1/image/1.png").headers["etag"]
        replace(served, stylegan1_bundle)
        expected = Generator.load(stylegan1_bundle, threads=1).generate([1])
        for _ in range(200):
            if server.client.head("/v1/image/1.png").headers["etag"] != tag:
                break
            threading.Event().wait(0.05)
        np.testing.assert_array_equal(draws(server), expected)


def test_a_request_ends_with_the_bundle_that_it_began_with(served: Path, stylegan1_bundle: Bundle) -> None:
    with running([ModelSource("it", served, threads=1)], reload_seconds=0) as server:
        before = draws(server)
        old = server.service.models.get()
        answers: list[np.ndarray] = []
        with Held(server) as held:
            asking = threading.Thread(target=lambda: answers.append(draws(server)))
            asking.start()
            assert held.began.wait(10)
            replace(served, stylegan1_bundle)
            assert server.service.models.refresh() == ["it"]
            assert old.users > 0
        asking.join(10)
        np.testing.assert_array_equal(answers[0], before)
        assert not np.array_equal(draws(server), before)
        assert old.users == 0


def test_a_broken_bundle_leaves_the_old_one_drawing(served: Path, stylegan1_bundle: Bundle) -> None:
    with running([ModelSource("it", served, threads=1)], reload_seconds=0) as server:
        before = draws(server)
        (served / "synthesis.onnx").write_bytes(b"damaged")
        (served / "manifest.json").touch()
        assert server.service.models.refresh() == []
        np.testing.assert_array_equal(draws(server), before)
        assert 'stylegan_edge_failed_reloads_total{model="it"} 1.0' in server.client.get("/metrics").text
        shutil.rmtree(served)
        assert server.service.models.refresh() == []  # gone for a moment
        shutil.copytree(stylegan1_bundle.path, served)
        assert server.service.models.refresh() == ["it"]
        assert not np.array_equal(draws(server), before)
