"""Requests of several clients are drawn together, and each gets its own images."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.http

from runtime import Bundle, Generator
from runtime.parity import assert_same
from runtime.server.models import ModelSource
from tests.runtime.server.inference.asking import Asker
from tests.runtime.server.running import Running, running

CLIENTS, TOGETHER = 8, 4


@pytest.fixture
def waiting(tiny_bundle: Bundle) -> Iterator[Running]:
    """A server whose batches of four wait until they are full."""
    source = ModelSource("tiny", tiny_bundle.path, threads=1, max_batch=TOGETHER)
    with running([source], max_wait=10.0) as server:
        yield server


def ask(url: str, seed: int, psi: float) -> np.ndarray:
    """One image, by a client and a connection of its own."""
    with tritonclient.http.InferenceServerClient(url.removeprefix("http://")) as client:
        asker = Asker(tritonclient.http, client)
        inputs = {"seed": np.array([[seed]]), "psi": np.full((1, 6), psi, np.float32)}
        found: np.ndarray = asker.infer("tiny", inputs, ["pixels"]).as_numpy("pixels")
        return found


def test_clients_share_batches(waiting: Running, tiny: Generator) -> None:
    psis = np.linspace(0, 1, CLIENTS).tolist()
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(ask, [waiting.url] * CLIENTS, range(CLIENTS), psis))
    for seed, psi in enumerate(psis):
        assert_same(tiny.generate([seed], psi=psi), found[seed])
    (stats,) = waiting.client.get("/v2/models/tiny/stats").json()["model_stats"]
    assert (stats["inference_count"], stats["execution_count"]) == (CLIENTS, CLIENTS // TOGETHER)
    (batches,) = stats["batch_stats"]
    assert (batches["batch_size"], batches["compute_infer"]["count"]) == (TOGETHER, CLIENTS // TOGETHER)
