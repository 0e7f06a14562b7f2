"""What stands before the replicas: it hands each request to one, and to another where that one dies.

An image of a seed is the same whoever draws it, so nothing is lost but time. Answers are passed on only when they are
whole: a client never sees half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from runtime.cluster.messages import HOP_BY_HOP, Answered, Asked
from runtime.cluster.settings import ClusterSettings
from runtime.errors import StyleganEdgeError
from runtime.server.bodies import read_body
from runtime.server.errors import (
    ClientClosedError,
    DrainingError,
    NotFoundError,
    QueueFullError,
    RequestError,
    TimedOutError,
    status_of,
)
from runtime.server.limits import Limits
from runtime.server.middleware import BearerTokens, error_response
from runtime.server.service import until_left
from runtime.server.stream import Stream, error_message
from runtime.server.tokens import environment_tokens

LOSSES = 5
"""Replicas that one request may be lost with. A request that kills whoever draws it must not kill them all."""
FIRST_PAUSE = 0.05
"""Seconds until a lost request is handed to another replica, doubled each time: Ray needs a moment to notice."""
GRACE_SECONDS = 30.0
"""Beyond the time of a request: a replica that is alive says itself that it took too long, one that is lost does not.
Ray notices a lost machine in less."""
RAYS_OWN = frozenset({b"x-request-id"})
"""Ray says it of every answer, in the words of the request, which the replica logs too."""
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]

T = TypeVar("T")


class LostError(Exception):
    """A replica died, or can't be reached, before its answer was whole."""


class BusyError(Exception):
    """As many requests wait as may."""


class Replicas(Protocol):
    """The replicas together: each call goes to one of them. They raise LostError and BusyError."""

    async def answer(self, asked: Asked) -> Answered:
        """An HTTP request's answer."""
        ...

    async def frame(self, message: str) -> list[str | bytes]:
        """What a message of a stream is answered with."""
        ...


def create_ingress(settings: ClusterSettings, replicas: Replicas) -> Starlette:
    """The application before the replicas. It loads no bundle, and starts no thread."""
    handing = Handing(settings.limits, replicas)
    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/metrics", _metrics),
            WebSocketRoute("/v1/stream", PassedOn(handing).answer),
            Route("/{path:path}", handing.respond, methods=METHODS),
        ],
        middleware=[Middleware(BearerTokens, tokens=environment_tokens())],
        exception_handlers={StyleganEdgeError: _error},
    )


class Handing:
    """Hands requests to the replicas."""

    def __init__(self, limits: Limits, replicas: Replicas) -> None:
        self._limits, self._replicas = limits, replicas

    async def respond(self, request: Request) -> Response:
        """Any request but a stream's."""
        asked = await self._asked(request)
        asking = asyncio.ensure_future(self._whole(lambda: self._replicas.answer(asked)))
        leaving = asyncio.ensure_future(until_left(request.receive))
        try:
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ClientClosedError("the client has left before its images were drawn")
            answered = asking.result()
        finally:
            for task in (asking, leaving):
                task.cancel()
            await asyncio.gather(asking, leaving, return_exceptions=True)
        response = Response(answered.body, answered.status)
        response.raw_headers = [item for item in answered.headers if item[0].lower() not in HOP_BY_HOP | RAYS_OWN]
        return response

    async def frame(self, message: str) -> list[str | bytes]:
        """What a message of a stream is answered with."""
        return await self._whole(lambda: self._replicas.frame(message))

    async def _asked(self, request: Request) -> Asked:
        """A request as it is handed on: its body whole, and decompressed, so that replicas get none that is too large.

        Raises what `read_body` raises.
        """
        body = await read_body(request, self._limits)
        dropped = HOP_BY_HOP | {b"content-encoding", b"content-length"}
        headers = [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in dropped]
        headers.append((b"content-length", str(len(body)).encode()))
        client = (request.client.host, request.client.port) if request.client else None
        query = request.scope.get("query_string", b"")
        return Asked(request.method, request.scope["path"], query, tuple(headers), body, client)

    async def _whole(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until a replica has answered. Raises DrainingError where none does, QueueFullError and TimedOutError."""
        seconds = self._limits.request_seconds + GRACE_SECONDS
        try:
            return await asyncio.wait_for(self._tried(ask), seconds)
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            raise TimedOutError(f"no replica has answered within {seconds:g} s; ask for fewer, or later") from None

    async def _tried(self, ask: Callable[[], Awaitable[T]]) -> T:
        for loss in range(LOSSES + 1):
            try:
                return await ask()
            except BusyError:
                raise QueueFullError("all replicas have as much as they may", {"Retry-After": "1"}) from None
            except LostError as error:
                if loss == LOSSES:
                    raise DrainingError(
                        f"{LOSSES + 1} replicas were lost while they drew this: {error}", {"Retry-After": "5"}
                    ) from None
                await asyncio.sleep(FIRST_PAUSE * 2**loss)
        raise AssertionError


class PassedOn(Stream):
    """A stream of which each frame may be another replica's: it outlives them."""

    def __init__(self, handing: Handing) -> None:
        self._handing = handing

    async def reply(self, message: str) -> list[str | bytes]:
        """Head and image, or an error."""
        try:
            return await self._handing.frame(message)
        except Exception as error:  # of one frame: the stream goes on
            return [error_message(None, error)]


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _metrics(_: Request) -> Response:
    raise NotFoundError("a cluster's figures are Ray's: scrape the metrics port of each node, see docs/cluster.md")


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StyleganEdgeError)
    return error_response(str(error), status_of(error), error.headers if isinstance(error, RequestError) else {})
