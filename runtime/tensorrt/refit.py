"""The weights of an engine, replaced by those of a graph of the same shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import EngineMismatchError
from runtime.tensorrt.log import make_log
from runtime.tensorrt.versions import Feature, Library

if TYPE_CHECKING:
    import tensorrt


def refit_from_graph(library: Library, engine: tensorrt.ICudaEngine, graph: Path, content: bytes | None = None) -> None:
    """Put a graph's weights into a refittable or stripped engine, in place.

    `content` is the graph itself, where it is another than the file's, which then is its name in messages.
    Raises InputError where this TensorRT can't, EngineMismatchError where a weight has no place or stays missing.
    """
    library.require(Feature.REFIT_FROM_GRAPH)
    trt = library.module
    log, messages = make_log(library)
    messages.clear()
    refitter: tensorrt.Refitter = trt.Refitter(engine, log)
    parser: tensorrt.OnnxParserRefitter = trt.OnnxParserRefitter(refitter, log)
    if not parser.refit_from_bytes(graph.read_bytes() if content is None else content):
        raise EngineMismatchError(
            f"{graph}: its weights don't fit the engine ({messages.last_error()}); build an engine of it instead"
        )
    missing: list[str] = refitter.get_missing_weights()
    if missing or not refitter.refit_cuda_engine():
        what = f"{len(missing)} weights are missing, as {missing[0]!r}" if missing else messages.last_error()
        raise EngineMismatchError(f"{graph}: {library.name} can't refit the engine ({what}); build one of it instead")
