"""`WS /v1/stream`: parameters in, frames out, and of those that wait only the newest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.errors import StyleganEdgeError
from runtime.server.bodies import check_depth
from runtime.server.encoding import encode
from runtime.server.errors import BadRequestError, status_of
from runtime.server.middleware import DEFECT, is_own_page
from runtime.server.parameters import StreamParameters, read_parameters
from runtime.server.planning import plan_generate
from runtime.server.service import Service

MAX_MESSAGE = 1 << 20
"""Bytes of a message: 64 sources of a mix as explicit styles, and no more."""
FRAME_FORMAT = "jpeg"
"""Of frames unless a message names another: the quickest to make and to show."""
PROTOCOL = "stylegan-edge"
"""The subprotocol that is spoken here; a client that sends a token as one names this too."""
_log = logging.getLogger(__name__)
FOREIGN, TOO_LARGE = 1008, 1009
"""Codes that close a connection: against the rules, and a message too large."""


class Stream:
    """The handler, over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, socket: WebSocket) -> None:
        """Answer frames until the client leaves.

        A message is the JSON of `StreamParameters`. Each frame is a text message, {"id", "ms", "format", "width",
        "height"}, then a binary one, the image. A message that came while a frame was drawn replaces one that waits.
        """
        if not is_own_page(socket.headers):
            await socket.close(FOREIGN, "asked by a page of another site")
            return
        wanted = socket.scope.get("subprotocols", [])
        await socket.accept(PROTOCOL if PROTOCOL in wanted else None)
        newest = _Newest()
        drawing = asyncio.create_task(self._draw(socket, newest))
        try:
            while True:
                message = await socket.receive_text()
                if len(message) > MAX_MESSAGE:
                    await socket.close(TOO_LARGE, f"a message over {MAX_MESSAGE:,} bytes")
                    return
                newest.put(message)
        except (WebSocketDisconnect, KeyError):  # a binary message has no text
            pass
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await drawing

    async def _draw(self, socket: WebSocket, newest: _Newest) -> None:
        while True:
            for part in await self.reply(await newest.take()):
                await (socket.send_text(part) if isinstance(part, str) else socket.send_bytes(part))

    async def reply(self, message: str) -> list[str | bytes]:
        """What a message is answered with: head and image, or an error."""
        identity: int | None = None
        try:
            document = message.encode()
            check_depth(document, self._service.settings.limits)
            asked: StreamParameters = read_parameters(StreamParameters, document)
            identity = asked.id
            return await self._frame(asked)
        except Exception as error:  # of one frame: the stream goes on
            self._service.metrics.failed(error)
            return [error_message(identity, error)]

    async def _frame(self, asked: StreamParameters) -> list[str | bytes]:
        """The two messages of a frame."""
        start = time.perf_counter()
        with self._service.models.use(asked.model) as model:
            pictures = plan_generate(model.generator, asked, self._service.settings.limits)
            if len(pictures) > 1:
                raise BadRequestError(f"{len(pictures)} images asked for, a frame is one")
            results = await self._service.run(model, model.pictures["pixels"], pictures)
            self._service.metrics.images.labels(model.source.name).inc()
        pixels = results[0].value
        form = asked.format or (FRAME_FORMAT if pixels.shape[2] != 4 else "webp")
        frame = await asyncio.to_thread(encode, pixels, form, asked.quality)
        height, width, _ = pixels.shape
        head = {"id": asked.id, "ms": round((time.perf_counter() - start) * 1000, 2), "format": form}
        return [json.dumps({**head, "width": width, "height": height}), frame]


def error_message(identity: int | None, error: Exception) -> str:
    """What a client is told in place of a frame."""
    return json.dumps({"id": identity, **_told(error)})


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, StyleganEdgeError):
        return {"error": str(error), "status": status_of(error)}
    _log.exception("a defect: %s", type(error).__name__)
    return {"error": DEFECT, "status": 500}


class _Newest:
    """A place for one message: a newer one replaces it."""

    def __init__(self) -> None:
        self._message: str | None = None
        self._there = asyncio.Event()

    def put(self, message: str) -> None:
        self._message = message
        self._there.set()

    async def take(self) -> str:
        await self._there.wait()
        self._there.clear()
        message, self._message = self._message, None
        return message or ""
