"""The ingress before replicas that die, hang and are busy: what they leave is drawn by others, or refused in words."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
import uvicorn

from runtime import Bundle, Generator
from runtime.client import Client, Retries
from runtime.cluster import ingress as ingress_module
from runtime.cluster.ingress import LOSSES, BusyError, LostError, create_ingress
from runtime.cluster.messages import Answered, Asked
from runtime.cluster.replica import Replica
from runtime.cluster.settings import ClusterSettings
from runtime.errors import ServerError
from runtime.server.limits import Limits
from runtime.server.models import ModelSource
from runtime.server.run import Listening
from runtime.server.tokens import TOKENS_VARIABLE


class Unsteady:
    """One replica in this process, which fails as told before it answers."""

    def __init__(self, settings: ClusterSettings) -> None:
        self.plan: list[str] = []
        self.replica = Replica(settings)
        self.asked, self.cancelled = 0, 0

    async def answer(self, asked: Asked) -> Answered:
        await self._trouble()
        return await self.replica.answer(asked)

    async def frame(self, message: str) -> list[str | bytes]:
        await self._trouble()
        return await self.replica.frame(message)

    async def _trouble(self) -> None:
        self.asked += 1
        trouble = self.plan.pop(0) if self.plan else ""
        if trouble == "lost":
            raise LostError("killed")
        if trouble == "busy":
            raise BusyError
        if trouble == "hang":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise


@contextmanager
def ingress(bundle: Bundle, limits: Limits) -> Iterator[tuple[str, Unsteady]]:
    """Serve an ingress from a thread; its address, and the replica behind it."""
    settings = ClusterSettings((ModelSource("tiny", bundle.path, "onnxruntime"),), limits)
    replicas = Unsteady(settings)
    server = uvicorn.Server(uvicorn.Config(create_ingress(settings, replicas), log_config=None, access_log=False))
    listening = Listening(port=0)
    with listening.bind() as taken:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield listening.address(taken), replicas
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def running(tiny_bundle: Bundle) -> Iterator[tuple[str, Unsteady]]:
    with ingress(tiny_bundle, Limits(max_body=1 << 16)) as found:
        yield found


@pytest.fixture
def replicas(running: tuple[str, Unsteady], monkeypatch: pytest.MonkeyPatch) -> Unsteady:
    monkeypatch.setattr(ingress_module, "FIRST_PAUSE", 0.001)
    running[1].plan, running[1].asked = [], 0
    return running[1]


@pytest.fixture
def client(running: tuple[str, Unsteady]) -> Iterator[Client]:
    """It asks once."""
    with Client(running[0], retries=Retries(0)) as client:
        yield client


@pytest.fixture(scope="module")
def tiny(tiny_bundle: Bundle) -> Generator:
    return Generator.load(tiny_bundle, "onnxruntime", threads=1)


def test_images_pass_through(replicas: Unsteady, client: Client, tiny: Generator) -> None:
    assert (client.generate(range(100), 0.7) == tiny.generate(range(100), 0.7)).all()


@pytest.mark.parametrize("losses", [1, LOSSES])
def test_lost_work_is_drawn_by_another(replicas: Unsteady, client: Client, tiny: Generator, losses: int) -> None:
    client.models()
    replicas.plan, replicas.asked = ["lost"] * losses, 0
    assert (client.generate([1]) == tiny.generate([1])).all()
    assert replicas.asked == losses + 1


def test_a_request_that_kills_whoever_draws_it_does_not_kill_them_all(replicas: Unsteady, client: Client) -> None:
    replicas.plan = ["lost"] * 100
    with pytest.raises(ServerError, match=f"{LOSSES + 1} replicas were lost while they drew this: killed"):
        client.generate([1])
    assert replicas.asked == LOSSES + 1


def test_busy_replicas_are_not_asked_again_at_once(replicas: Unsteady, running: tuple[str, Unsteady]) -> None:
    replicas.plan = ["busy"]
    answer = httpx.post(running[0] + "/v1/generate", json={"seed": 1})
    assert (answer.status_code, answer.headers["retry-after"], replicas.asked) == (429, "1", 1)


def test_a_stream_outlives_its_replicas(replicas: Unsteady, client: Client, tiny: Generator) -> None:
    with client.stream() as stream:
        for seed in range(3):
            replicas.plan = ["lost", "lost"]
            frame = stream.draw(seed, format="raw")
            assert (np.frombuffer(frame.data, np.uint8) == tiny.generate([seed]).ravel()).all()
        replicas.plan = ["lost"] * 100
        with pytest.raises(ServerError, match="503"):
            stream.draw(1)


def test_a_client_that_leaves_is_drawn_for_no_more(replicas: Unsteady, running: tuple[str, Unsteady]) -> None:
    replicas.plan, replicas.cancelled = ["hang"], 0
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(running[0] + "/v1/generate", json={"seed": 1}, timeout=0.3)
    deadline = time.monotonic() + 5
    while not replicas.cancelled and time.monotonic() < deadline:
        time.sleep(0.01)
    assert replicas.cancelled == 1


def test_replicas_that_never_answer(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress_module, "GRACE_SECONDS", 0.1)
    with ingress(tiny_bundle, Limits(request_seconds=0.2)) as (address, replicas):
        replicas.plan = ["hang"] * 2
        answer = httpx.post(address + "/v1/generate", json={"seed": 1})
    assert answer.status_code == 504
    assert "no replica has answered" in answer.json()["error"]


def test_what_the_server_says_is_passed_on(replicas: Unsteady, running: tuple[str, Unsteady]) -> None:
    address = running[0]
    png = httpx.get(address + "/v1/image/5.png?psi=0.7")
    assert (png.status_code, png.headers["content-type"], png.content[:4]) == (200, "image/png", b"\x89PNG")
    assert png.headers["x-replica"]
    assert httpx.get(png.url, headers={"If-None-Match": png.headers["etag"]}).status_code == 304
    assert httpx.head(png.url).content == b""
    assert httpx.get(address + "/v1/image/5.bmp").status_code == 404
    assert "psi" in httpx.post(address + "/v1/generate", json={"seed": 1, "psi": "a"}).json()["error"]
    assert httpx.get(address + "/readyz").text == "ready\n"


def test_what_the_ingress_says_itself(replicas: Unsteady, running: tuple[str, Unsteady]) -> None:
    address = running[0]
    assert httpx.get(address + "/healthz").text == "ok\n"
    assert "Ray's" in httpx.get(address + "/metrics").json()["error"]
    large = httpx.post(address + "/v1/generate", content=b" " * (1 << 17), headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    assert replicas.asked == 0


def test_a_token_is_asked_for_before_any_replica(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENS_VARIABLE, "sesame")
    with ingress(tiny_bundle, Limits()) as (address, replicas):
        assert httpx.get(address + "/v1/models").status_code == 401
        assert replicas.asked == 0
        with Client(address, token="sesame") as client, client.stream() as stream:
            assert client.generate([1]).shape == (1, 16, 16, 3)
            assert stream.draw(1).width == 16
