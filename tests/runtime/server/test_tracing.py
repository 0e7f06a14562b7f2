"""Traces: a share of requests, with where their time went."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime import Bundle
from runtime.errors import InputError
from runtime.server import service as service_module
from runtime.server.tracing import Tracing
from tests.runtime.server.running import running

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_traced_request_shows_its_stages(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(service_module, "Tracing", lambda share, endpoint: Tracing(share, endpoint, exporter))
    with running({"tiny": tiny_bundle}, trace_share=1.0) as server:
        answer = server.client.post("/v1/generate", json={"seeds": [1, 2]}, headers={"traceparent": PARENT})
        assert answer.status_code == 200
    spans: dict[str, Any] = {span.name: span for span in exporter.get_finished_spans()}
    request, queue, draw = spans["POST v1"], spans["queue"], spans["draw"]
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert request.attributes["http.response.status_code"] == 200
    assert draw.attributes == {"batch": 2, "images": 2}
    assert request.start_time <= queue.start_time <= queue.end_time == draw.start_time < draw.end_time
    assert draw.end_time <= request.end_time
    assert draw.parent.span_id == queue.parent.span_id == request.context.span_id


def test_no_more_than_the_share_is_traced(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(service_module, "Tracing", lambda share, endpoint: Tracing(share, endpoint, exporter))
    with running({"tiny": tiny_bundle}, trace_share=1e-9) as server:
        for _ in range(5):
            server.client.get("/healthz")
    assert exporter.get_finished_spans() == ()


def test_a_share_needs_a_collector() -> None:
    with pytest.raises(InputError, match="give --trace-endpoint"):
        Tracing(0.5, None)
