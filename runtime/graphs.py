"""A bundle's graphs, opened together on one backend."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.backends import BackendName, GraphRunner, open_graph
from runtime.bundle import Bundle


@dataclass(frozen=True)
class OpenGraphs:
    """The float32 graphs of a bundle; `pipeline` is None where the bundle has none."""

    mapping: GraphRunner
    synthesis: GraphRunner
    pipeline: GraphRunner | None

    @classmethod
    def open(cls, bundle: Bundle, backend: BackendName = BackendName.AUTO, threads: int | None = None) -> OpenGraphs:
        """Open every float32 graph. Raises BackendUnavailableError where nothing that executes them is installed."""
        has_pipeline = "pipeline" in bundle.manifest.graphs
        return cls(
            mapping=open_graph(bundle.graph_path("mapping"), backend, threads),
            synthesis=open_graph(bundle.graph_path("synthesis"), backend, threads),
            pipeline=open_graph(bundle.graph_path("pipeline"), backend, threads) if has_pipeline else None,
        )
