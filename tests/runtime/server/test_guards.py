"""Who is let in, how much they may ask, and what every answer carries."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from typing import Any

import httpx
import numpy as np
import pytest

from runtime import Bundle
from runtime.server.limits import Limits
from runtime.server.models import Drawings
from tests.runtime.server.running import Running, running

SECONDS = 10
JSON = {"content-type": "application/json"}


class Held:
    """Holds a model's drawing back until told."""

    def __init__(self, server: Running) -> None:
        self._kind: Drawings = server.service.models.get().pictures["pixels"]
        self._draw = self._kind.draw
        self.began, self.may_draw = threading.Event(), threading.Event()
        self.sizes: list[int] = []

    def __enter__(self) -> Held:
        object.__setattr__(self._kind, "draw", self._slow)
        return self

    def __exit__(self, *_: object) -> None:
        self.may_draw.set()
        object.__setattr__(self._kind, "draw", self._draw)

    def _slow(self, *arguments: Any) -> list[np.ndarray]:
        self.began.set()
        assert self.may_draw.wait(SECONDS)
        self.sizes.append(len(arguments[1]))
        return self._draw(*arguments)


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/openapi.json", "/v1/image/1.png"])
def test_without_a_token_nothing_is_told(tiny_bundle: Bundle, path: str) -> None:
    with running({"tiny": tiny_bundle}, tokens=frozenset({"secret", "other"})) as server:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
            answer = server.client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "send 'Authorization: Bearer TOKEN'" in answer.json()["error"]
        for token in ("secret", "other"):
            assert server.client.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 200
        for open_ in ("/healthz", "/readyz"):
            assert server.client.get(open_).status_code == 200


def test_every_answer_has_an_id_and_headers_for_browsers(server: Running) -> None:
    for path in ("/healthz", "/nothing", "/v1/models"):
        headers = server.client.get(path, headers={"x-request-id": "mine-1"}).headers
        assert headers["x-request-id"] == "mine-1"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    for bad in ("a b", "x" * 200, "<script>"):
        assert server.client.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"] != bad


def test_wrong_methods_and_paths(server: Running) -> None:
    assert server.client.get("/v1/generate").status_code == 405
    assert server.client.get("/v1/nothing").json() == {"error": "Not Found"}
    assert server.client.get("/static/../app.py").status_code == 404
    assert server.client.get("/static/%2e%2e/app.py").status_code == 404


def test_a_body_over_the_limit_is_not_read(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_body=1000)) as server:
        large = json.dumps({"seed": 1, "model": "a" * 2000}).encode()
        for content in (large, iter([large[:900], large[900:]])):
            answer = server.client.post("/v1/generate", content=content, headers=JSON)
            assert answer.status_code == 413
            assert "over the limit of 1,000 bytes" in answer.json()["error"]
        bomb = gzip.compress(b" " * 100_000)
        assert len(bomb) < 1000
        answer = server.client.post("/v1/generate", content=bomb, headers=JSON | {"content-encoding": "gzip"})
        assert answer.status_code == 413


def test_images_and_pixels_of_a_request(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_images=3, max_pixels=2 * 16 * 16)) as server:
        assert server.generate(seeds=[1, 2]).status_code == 200
        assert "768 pixels asked for, 512 is the limit" in server.generate(seeds=[1, 2, 3]).json()["error"]
        assert "4 images asked for, 3 is the limit" in server.generate(seeds="1-4").json()["error"]
        assert (
            "is the limit"
            in server.client.post("/v1/mix", json={"rows": "1", "cols": "1", "layers": "0"}).json()["error"]
        )


def test_a_grid_too_long_for_a_picture(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_images=9000)) as server:
        answer = server.client.post("/v1/mix", json={"rows": "1", "cols": "1-2100", "layers": "0"})
        assert answer.status_code == 400
        assert "a grid 2101 images long is over 32768 px" in answer.json()["error"]


def test_a_full_queue_says_when_to_come_back(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_queue=2)) as server, Held(server) as held:
        threads = [threading.Thread(target=server.generate, kwargs={"seed": 1})]
        threads[0].start()
        assert held.began.wait(SECONDS)
        threads.append(threading.Thread(target=server.generate, kwargs={"seeds": [2, 3]}))
        threads[1].start()
        until(lambda: server.service.worker("cpu").depth == 2)
        answer = server.generate(seed=4)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert "over the limit of 2" in answer.json()["error"]
        held.may_draw.set()
        for thread in threads:
            thread.join(SECONDS)
        assert server.generate(seed=4).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(request_seconds=0.3)) as server, Held(server):
        answer = server.generate(seed=1)
        assert answer.status_code == 504
        assert "not drawn within 0.3 s" in answer.json()["error"]


def test_a_body_that_does_not_come(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(request_seconds=0.3)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), SECONDS) as connection:
            connection.sendall(
                b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
            assert b" 408 " in connection.recv(100)


def test_a_client_that_leaves_is_not_drawn_for(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}) as server, Held(server) as held:
        first = threading.Thread(target=server.generate, kwargs={"seed": 1})
        first.start()
        assert held.began.wait(SECONDS)
        with pytest.raises(httpx.ReadTimeout):
            server.client.post("/v1/generate", json={"seeds": "1-9"}, timeout=0.3)
        until(lambda: not any(not task.future.cancelled() for task in server.service.worker("cpu")._tasks))
        held.may_draw.set()
        first.join(SECONDS)
        assert server.generate(seed=2).status_code == 200
        assert held.sizes == [1, 1]  # none of the nine


def test_readiness_is_honest(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with running({"tiny": tiny_bundle}) as server:
        assert server.client.get("/readyz").text == "ready\n"
        monkeypatch.setattr(server.service.worker("cpu"), "_failures", 99)
        answer = server.client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"error": "drawing on cpu fails"})
        assert server.client.get("/healthz").status_code == 200
        server.service.draining = True
        assert server.client.get("/readyz").json() == {"error": "the server is closing"}


def until(condition: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
