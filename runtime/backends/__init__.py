"""What executes a graph."""

from __future__ import annotations

from pathlib import Path

from runtime.backends.base import BackendName, GraphRunner


def open_graph(path: Path, backend: BackendName = BackendName.AUTO, threads: int | None = None) -> GraphRunner:
    """Load a graph file on a backend. Raises BackendUnavailableError where nothing that executes it is installed."""
    if backend in (BackendName.AUTO, BackendName.ONNXRUNTIME):
        from runtime.backends.onnxruntime import OnnxRuntimeGraph

        return OnnxRuntimeGraph(path, threads)
    raise AssertionError(backend)


__all__ = ["BackendName", "GraphRunner", "open_graph"]
