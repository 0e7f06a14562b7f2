"""The ASGI application: the same on a desk, under any ASGI server, and in a replica of Ray Serve."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from runtime.errors import StyleganEdgeError
from runtime.server.about import About
from runtime.server.errors import RequestError, status_of
from runtime.server.images import Images
from runtime.server.inference import rest
from runtime.server.inference.models import InferenceModels
from runtime.server.middleware import BearerTokens, RequestLog, error_response
from runtime.server.page_routes import page_routes
from runtime.server.service import Service
from runtime.server.settings import Settings
from runtime.server.snippets import Snippets
from runtime.server.stream import Stream
from runtime.server.tracing import TraceRequests


def create_app(settings: Settings) -> Starlette:
    """Load the bundles, and return what answers requests about them. Raises what loading raises.

    `app.state.service` is the `Service` behind it. The end of the application's lifespan finishes what waits.
    """
    service = Service.load(settings)
    try:
        inference = InferenceModels(service)
    except StyleganEdgeError:
        service.close()
        raise

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        freshening = asyncio.create_task(service.keep_fresh())
        yield
        freshening.cancel()
        await asyncio.gather(*service.others)
        await asyncio.to_thread(service.close)

    middleware = [Middleware(RequestLog, metrics=service.metrics), Middleware(BearerTokens, tokens=settings.tokens)]
    if service.tracing is not None:
        middleware.append(Middleware(TraceRequests, tracing=service.tracing))
    app = Starlette(
        routes=[*_routes(service), *rest.routes(inference)],
        middleware=middleware,
        exception_handlers={HTTPException: _http_error, StyleganEdgeError: _answer_errors(service)},
        lifespan=lifespan,
    )
    app.state.service, app.state.inference = service, inference
    return app


def _routes(service: Service) -> list[BaseRoute]:
    images, about = Images(service), About(service)
    return [  # looked through in this order: first what is asked for most
        Route("/v1/generate", images.generate, methods=["POST"]),
        Route("/v1/image/{seed:int}.{suffix}", images.image),
        WebSocketRoute("/v1/stream", Stream(service).answer),
        Route("/v1/mix", images.mix, methods=["POST"]),
        Route("/v1/code", Snippets(service).code, methods=["POST"]),
        Route("/v1/models", about.models),
        Route("/healthz", about.healthz),
        Route("/readyz", about.readyz),
        Route("/metrics", about.metrics),
        Route("/openapi.json", about.openapi),
        *page_routes(),
    ]


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.detail, error.status_code, dict(error.headers or {}))


def _answer_errors(service: Service):  # type: ignore[no-untyped-def]
    """What turns an error of ours into an answer, and counts it."""

    async def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, StyleganEdgeError)
        service.metrics.failed(error)
        headers = error.headers if isinstance(error, RequestError) else {}
        return error_response(str(error), status_of(error), headers)

    return answer
