"""What happens to every request: an id, a line in the log, figures, tokens, and headers that keep browsers safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.server.errors import CLIENT_CLOSED
from runtime.server.logs import ACCESS, REQUEST_ID, request_id
from runtime.server.metrics import Metrics
from runtime.server.tokens import bearer, is_known

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/favicon.ico", "/v2/health/live", "/v2/health/ready"})
"""What is answered without a token: the page, which asks for one, and whether the server lives."""
DEFECT = "a defect of the server; its log has the request's id, and what happened"
"""What is answered where the server itself failed: what it knows of that is nobody's else."""
OPEN_FOLDERS = ("/static/",)
TOKEN_PROTOCOL = "bearer."  # noqa: S105
"""Browsers can't send headers with a WebSocket: a subprotocol of this beginning carries the token instead."""
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: the page loads nothing from elsewhere and can't be framed, and nothing is read from elsewhere."""

_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_log = logging.getLogger(ACCESS)


def error_response(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every interface answers it, the Open Inference Protocol's body: `{"error": message}`."""
    return JSONResponse({"error": message}, status, headers)


class RequestLog:
    """Gives each request an id, counts it, and logs a line when it is answered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identity = request_id(headers.get("x-request-id"))
        REQUEST_ID.set(identity)
        start = time.perf_counter()
        scope.setdefault("state", {})["since"] = start
        status = 0

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity.encode()), *_SECURITY]
            await send(message)

        try:
            await self._app(scope, receive, telling)
        except Exception as error:
            _log.exception("a defect: %s", type(error).__name__)
            self._metrics.failed(error)
            if status == 0 and scope["type"] == "http":
                answer = error_response(DEFECT, 500)
                await answer(scope, receive, telling)
        finally:
            self._tell(scope, status or CLIENT_CLOSED, time.perf_counter() - start)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", None) or ("/static" if scope["path"].startswith("/static/") else "unknown")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.latency.labels("request").observe(seconds)
        fields: dict[str, Any] = {
            "method": scope.get("method", "WS"),
            "path": scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1000, 2),
            "client": scope["client"][0] if scope.get("client") else None,
        }
        _log.info("%s %s", fields["method"], fields["path"], extra={"fields": fields})


class BearerTokens:
    """Lets in who carries one of the tokens; who asks for a page or for health needs none."""

    def __init__(self, app: ASGIApp, tokens: Iterable[str]) -> None:
        self._app = app
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] not in ("http", "websocket") or not self._tokens or self._is_open(scope) or self._known(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no token"})
            return
        answer = error_response(
            "no token that this server knows; send 'Authorization: Bearer TOKEN'", 401, {"WWW-Authenticate": "Bearer"}
        )
        await answer(scope, receive, send)

    @staticmethod
    def _is_open(scope: Scope) -> bool:
        return scope["path"] in OPEN_PATHS or scope["path"].startswith(OPEN_FOLDERS)

    def _known(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        given = bearer(headers.get("authorization", ""))
        given += [
            item.removeprefix(TOKEN_PROTOCOL)
            for item in scope.get("subprotocols", [])
            if item.startswith(TOKEN_PROTOCOL)
        ]
        return is_known(given, self._tokens)


def is_own_page(headers: Headers) -> bool:
    """Whether a page that asks is this server's own, where browsers don't see to it. Other clients name no origin."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
