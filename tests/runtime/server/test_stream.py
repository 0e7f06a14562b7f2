"""`WS /v1/stream`: parameters in, frames out, newest wins."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from runtime import Bundle, Generator
from runtime.server.stream import MAX_MESSAGE
from tests.runtime.server.running import Running, running

SECONDS = 10


def stream(server: Running, **options: Any) -> ClientConnection:
    socket: ClientConnection = connect(server.url.replace("http", "ws", 1) + "/v1/stream", proxy=None, **options)
    return socket


def frame(socket: ClientConnection) -> tuple[dict[str, Any], bytes]:
    """The next frame: what is told of it, and the image."""
    head = json.loads(socket.recv(SECONDS))
    if "error" in head:
        return head, b""
    image = socket.recv(SECONDS)
    assert isinstance(image, bytes)
    return head, image


def test_a_frame_is_the_image_of_its_parameters(server: Running, tiny: Generator) -> None:
    with stream(server) as socket:
        for number in range(3):
            socket.send(json.dumps({"model": "tiny", "seed": number, "psi": 0.7, "format": "raw", "id": number}))
            head, image = frame(socket)
            assert (head["id"], head["format"], head["width"], head["height"]) == (number, "raw", 16, 16)
            found = np.frombuffer(image, np.uint8).reshape(16, 16, 3)
            np.testing.assert_array_equal(found, tiny.generate([number], psi=0.7)[0])


def test_frames_are_jpeg_unless_told(server: Running) -> None:
    with stream(server) as socket:
        socket.send('{"model": "tiny", "seed": 1}')
        head, image = frame(socket)
    assert head["format"] == "jpeg"
    assert image.startswith(b"\xff\xd8")


def test_newest_wins(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one frame is drawn, many may come: of these only the last is."""
    kind = server.service.models.get("tiny").pictures["pixels"]
    may_draw, began = threading.Event(), threading.Event()
    draw = kind.draw

    def slow(*arguments: Any) -> list[np.ndarray]:
        began.set()
        assert may_draw.wait(SECONDS)
        return draw(*arguments)

    object.__setattr__(kind, "draw", slow)
    try:
        with stream(server) as socket:
            for number in range(20):
                socket.send(json.dumps({"model": "tiny", "seed": number, "id": number}))
                assert began.wait(SECONDS)
            time.sleep(0.2)  # let them arrive
            may_draw.set()
            assert [frame(socket)[0]["id"] for _ in range(2)] == [0, 19]
    finally:
        object.__setattr__(kind, "draw", draw)


@pytest.mark.parametrize(
    ("message", "told", "status"),
    [
        ("{", "not JSON", 400),
        ('{"model": "tiny", "seed": -1, "id": 3}', "seed is -1", 400),
        ('{"model": "tiny", "seeds": [1, 2]}', "2 images asked for, a frame is one", 400),
        ('{"model": "none", "seed": 1}', "is not served", 404),
        ('{"a":' + "[" * 50 + "]" * 50 + "}", "nests 51 deep", 400),
    ],
)
def test_a_wrong_message_is_told_and_the_stream_goes_on(server: Running, message: str, told: str, status: int) -> None:
    with stream(server) as socket:
        socket.send(message)
        head, _ = frame(socket)
        assert told in head["error"]
        assert head["status"] == status
        socket.send('{"model": "tiny", "seed": 1, "id": 7}')
        assert frame(socket)[0]["id"] == 7


def test_a_defect_ends_a_frame_not_the_stream(server: Running) -> None:
    kind = server.service.models.get("tiny").pictures["pixels"]
    draw = kind.draw
    with stream(server) as socket:
        object.__setattr__(kind, "draw", lambda *_: 1 / 0)
        try:
            socket.send('{"model": "tiny", "seed": 1, "id": 1}')
            head, _ = frame(socket)
        finally:
            object.__setattr__(kind, "draw", draw)
        assert (head["id"], head["status"]) == (1, 500)
        assert "division" not in head["error"]
        socket.send('{"model": "tiny", "seed": 1, "id": 2}')
        assert frame(socket)[0]["id"] == 2


def test_pages_of_other_sites_are_turned_away(server: Running) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        stream(server, origin="http://elsewhere.example")
    with stream(server, origin=server.url) as socket:
        socket.send('{"model": "tiny", "seed": 1}')
        assert frame(socket)[1]


def test_messages_are_bounded(server: Running) -> None:
    with stream(server) as socket:
        socket.send('{"model": "' + "a" * MAX_MESSAGE + '"}')
        with pytest.raises(ConnectionClosed):
            socket.recv(SECONDS)


def test_a_token_comes_as_a_subprotocol(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, tokens=frozenset({"secret"})) as server:
        with pytest.raises(InvalidStatus, match="403"):
            stream(server)
        with pytest.raises(InvalidStatus, match="403"):
            stream(server, subprotocols=["stylegan-edge", "bearer.wrong"])
        with stream(server, subprotocols=["stylegan-edge", "bearer.secret"]) as socket:
            assert socket.subprotocol == "stylegan-edge"
            socket.send('{"seed": 1}')
            assert frame(socket)[1]
