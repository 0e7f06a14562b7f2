"""Frames over a WebSocket: parameters are sent, images come back, and of those that wait the newest."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.answers import as_document, refusal
from runtime.client.asking import Options, drawing
from runtime.client.connecting import CONNECT_SECONDS, Connection
from runtime.errors import InputError, ServerError
from runtime.extras import require

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAX_FRAME = 64 << 20
"""Bytes of a message from the server: raw RGBA pixels of 4096 px."""


@dataclass(frozen=True)
class Frame:
    """An image that came: `id` is what `send` returned, `ms` the milliseconds from the request to the encoded image."""

    id: int | None
    data: bytes
    format: str
    width: int
    height: int
    ms: float


class _Messages:
    """What the two streams share: messages out and in, and errors as ours."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._socket: Any = None

    def _parameters(self, seed: int, psi: float, format: str, options: Options) -> tuple[int, str]:  # noqa: A002
        number = next(self._ids)
        document = drawing(psi, self._connection.with_model(options))
        return number, json.dumps({**document, "seed": seed, "id": number, "format": format})

    def _arguments(self) -> dict[str, Any]:
        headers = self._connection.headers
        return {"additional_headers": headers, "max_size": MAX_FRAME, "open_timeout": CONNECT_SECONDS}

    def _open(self) -> Any:
        if self._socket is None:
            raise InputError("the stream is closed; use it in a 'with' block")
        return self._socket

    @property
    def _seconds(self) -> float:
        return self._connection.timeout


class Stream(_Messages):
    """`with client.stream() as stream: frame = stream.draw(seed)`. One thread may send while another receives."""

    def __enter__(self) -> Stream:
        connect = require("websockets.sync.client", "client").connect
        with _errors(self._connection):
            self._socket = connect(self._connection.stream_url, **self._arguments())
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._socket = None

    def send(self, seed: int, psi: float = 1.0, format: str = "jpeg", **options: Unpack[Options]) -> int:  # noqa: A002
        """Ask for a frame, in place of one that waits, and return its number."""
        number, message = self._parameters(seed, psi, format, options)
        with _errors(self._connection):
            self._open().send(message)
        return number

    def receive(self) -> Frame:
        """The next frame. Raises InputError for what the server refused, and ServerError."""
        with _errors(self._connection):
            head = _head(self._open().recv(self._seconds))
            return _frame(head, self._open().recv(self._seconds))

    def draw(self, seed: int, psi: float = 1.0, format: str = "jpeg", **options: Unpack[Options]) -> Frame:  # noqa: A002
        """Ask for a frame and wait for it; those of earlier `send`s are let go."""
        number = self.send(seed, psi, format, **options)
        return next(frame for frame in self if frame.id == number)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            yield self.receive()


class AsyncStream(_Messages):
    """`async with client.stream() as stream: frame = await stream.draw(seed)`."""

    async def __aenter__(self) -> AsyncStream:
        connect = require("websockets.asyncio.client", "client").connect
        with _errors(self._connection):
            self._socket = await connect(self._connection.stream_url, **self._arguments())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        self._socket = None

    async def send(self, seed: int, psi: float = 1.0, format: str = "jpeg", **options: Unpack[Options]) -> int:  # noqa: A002
        """As `Stream.send`."""
        number, message = self._parameters(seed, psi, format, options)
        with _errors(self._connection):
            await self._open().send(message)
        return number

    async def receive(self) -> Frame:
        """As `Stream.receive`."""
        with _errors(self._connection):
            head = _head(await asyncio.wait_for(self._open().recv(), self._seconds))
            return _frame(head, await asyncio.wait_for(self._open().recv(), self._seconds))

    async def draw(self, seed: int, psi: float = 1.0, format: str = "jpeg", **options: Unpack[Options]) -> Frame:  # noqa: A002
        """As `Stream.draw`."""
        number = await self.send(seed, psi, format, **options)
        async for frame in self:
            if frame.id == number:
                return frame
        raise AssertionError  # a stream that ends raises

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while True:
            yield await self.receive()


def _head(message: str | bytes) -> dict[str, Any]:
    """The message before a frame. Raises the error that stands in its place."""
    head = as_document(message)
    if "error" in head:
        raise refusal(int(head.get("status", 500)), str(head["error"]))
    return head


def _frame(head: dict[str, Any], data: str | bytes) -> Frame:
    sizes = {name: head.get(name) for name in ("format", "width", "height", "ms")}
    if not isinstance(data, bytes) or None in sizes.values():
        raise ServerError("the server sent no frame after its head; expected a stream of stylegan-edge of this release")
    return Frame(head.get("id"), data, **sizes)  # type: ignore[arg-type]


@contextmanager
def _errors(connection: Connection) -> Iterator[None]:
    """Errors of the WebSocket as ours."""
    exceptions = require("websockets.exceptions", "client")
    try:
        yield
    except exceptions.InvalidStatus as error:
        status = error.response.status_code
        raise refusal(status, f"the stream was refused with status {status}; is the token right?") from None
    except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
        raise ServerError(f"{connection.stream_url}: no answer within {connection.timeout:g} s") from None
    except exceptions.ConnectionClosed as error:
        raise ServerError(f"{connection.stream_url}: the stream was closed ({error})") from None
    except (exceptions.WebSocketException, OSError, EOFError) as error:
        reason = str(error) or type(error).__name__
        raise ServerError(f"{connection.stream_url}: no stream ({reason}); is the server running?") from None
