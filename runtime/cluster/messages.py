"""A request and its answer, whole, as an ingress and a replica hand them to each other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

Headers = tuple[tuple[bytes, bytes], ...]
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of one connection, not of the request (RFC 9110, section 7.6.1)."""


@dataclass(frozen=True)
class Asked:
    """An HTTP request: the path decoded, the query not, header names in lower case."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes = b""
    client: tuple[str, int] | None = None


@dataclass(frozen=True)
class Answered:
    """What became of it."""

    status: int
    headers: Headers
    body: bytes


async def answer_by(app: ASGIApp, asked: Asked) -> Answered:
    """Ask an ASGI application in this process, and wait for the whole answer. Cancel it where the client has left."""
    status, come = 500, False
    headers: Headers = ()
    parts: list[bytes] = []

    async def receive() -> Message:
        nonlocal come
        if come:  # whoever waits for the client to leave is cancelled then
            await asyncio.Event().wait()
        come = True
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], tuple((bytes(k), bytes(v)) for k, v in message["headers"])
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": "",
        "query_string": asked.query,
        "headers": list(asked.headers),
        "client": asked.client,
        "server": None,
        "state": {},
    }
    await app(scope, receive, send)
    return Answered(status, headers, b"".join(parts))
