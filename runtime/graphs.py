"""A bundle's graphs, opened together on one backend."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.backends import Attempt, BackendName, GraphRunner, RunOptions, open_graphs
from runtime.bundle import Bundle, graph_key
from runtime.parity import FP32


@dataclass(frozen=True)
class OpenGraphs:
    """The graphs of a bundle; `pipeline` is None where the bundle or its engine has none, or it was not asked for."""

    mapping: GraphRunner
    synthesis: GraphRunner
    pipeline: GraphRunner | None
    attempts: tuple[Attempt, ...] = ()
    precision: str = FP32

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        backend: BackendName = BackendName.AUTO,
        options: RunOptions | None = None,
        precision: str = FP32,
        pipeline: bool = True,
    ) -> OpenGraphs:
        """Open the graphs. Raises BackendUnavailableError or EngineMismatchError where the backend can't be had."""
        names = ["mapping", "synthesis"] + ["pipeline"] * (
            pipeline and graph_key("pipeline", precision) in bundle.manifest.graphs
        )
        graphs, attempts = open_graphs(bundle, names, precision, backend, options or RunOptions())
        return cls(graphs["mapping"], graphs["synthesis"], graphs.get("pipeline"), tuple(attempts), precision)

    def close(self) -> None:
        """Free what the graphs hold."""
        for graph in (self.mapping, self.synthesis, self.pipeline):
            if graph is not None:
                graph.close()
