"""Sampled traces of requests, sent to an OpenTelemetry collector: the extra `tracing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.errors import InputError
from runtime.extras import require
from runtime.server.worker import Result

SERVICE = "stylegan-edge"
EXPORT_MILLISECONDS = 2000
"""How long a collector is waited for when the server ends: it must not keep it from ending."""
NANOSECONDS = 1_000_000_000


class Tracing:
    """A tracer of a share of requests, of its own: what else this process traces is not touched.

    `exporter` takes the place of the one to `endpoint`, as in tests. Raises InputError where there is no endpoint,
    MissingDependencyError where OpenTelemetry is not installed.
    """

    def __init__(self, share: float, endpoint: str | None, exporter: Any = None) -> None:
        if endpoint is None and exporter is None:
            raise InputError("traces need somewhere to go: give --trace-endpoint http://COLLECTOR:4318/v1/traces")
        sdk, sampling = require("opentelemetry.sdk.trace"), require("opentelemetry.sdk.trace.sampling")
        export, resources = require("opentelemetry.sdk.trace.export"), require("opentelemetry.sdk.resources")
        self._propagate = require("opentelemetry.propagate")
        self._trace = require("opentelemetry.trace")
        if exporter is None:
            exporter = require("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter(endpoint)
        # Who asks may have decided already that its request is traced: then this part of it is too.
        sampler = sampling.ParentBased(sampling.TraceIdRatioBased(share))
        resource = resources.Resource.create({"service.name": SERVICE})
        self._provider = sdk.TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)

    def request(self, scope: Scope) -> Any:
        """A context manager around a request: its span, the child of the one that its headers name."""
        headers = {name: value for name, value in Headers(scope=scope).items() if name in ("traceparent", "tracestate")}
        return self._tracer.start_as_current_span(
            f"{scope.get('method', 'WS')} {scope['path'].split('/')[1] or 'page'}",
            context=self._propagate.extract(headers),
            kind=self._trace.SpanKind.SERVER,
            attributes={"url.path": scope["path"][:200]},
        )

    def drawn(self, results: Sequence[Result], ended: int) -> None:
        """Tell of what was drawn for the request that is being answered: waiting, then drawing, up to `ended` (ns)."""
        if not results or not self._trace.get_current_span().is_recording():
            return
        last = max(results, key=lambda result: result.waited + result.seconds)
        began = ended - int(last.seconds * NANOSECONDS)
        queued = began - int(last.waited * NANOSECONDS)
        self._tracer.start_span("queue", start_time=queued).end(began)
        attributes = {"batch": last.batch, "images": len(results)}
        self._tracer.start_span("draw", start_time=began, attributes=attributes).end(ended)

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.force_flush(EXPORT_MILLISECONDS)
        self._provider.shutdown()


class TraceRequests:
    """Opens a span around each request that is sampled."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._tracing.request(scope) as span:

            async def telling(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, telling)
