"""An engine whose layers can be read: built a second time, of a graph that has them for outputs."""

from __future__ import annotations

from dataclasses import replace

from engines.options import BuildOptions
from engines.store import build_engine
from runtime.backends import GraphRunner, RunOptions
from runtime.backends.tensorrt import find_host, open_plan
from runtime.backends.ways import open_on_cpu
from runtime.bundle import Bundle
from runtime.engine_record import Flavour
from runtime.engines import choose_engine


def open_marked_engine(
    marked: Bundle, original: Bundle, flavour: Flavour, precision: str, options: RunOptions, graph: str
) -> GraphRunner:
    """Build an engine of a graph of a marked copy of a bundle, in that copy, as the one that draws was built; open it.

    Its graph is that of the bundle, not a tuned one. What the engine lacks runs on ONNX Runtime, as it does without
    marks. TensorRT may fuse fewer operators of a graph whose layers are outputs: `LayerReport.unmarked` says how far
    the images are apart.

    Raises EngineMismatchError where the bundle has no engine for this GPU, and what `build_engine` raises.
    """
    library, host = find_host(flavour, options)
    record = choose_engine(original, host, precision).record
    if graph not in record.plans:
        return open_on_cpu(marked, [graph], precision, options)[graph]
    flags = replace(record.flags, tune=False, strip_weights=False, refittable=False)
    build = BuildOptions(record.profiles, flags, gpu=options.gpu)
    engine, _ = build_engine(marked, library, host.device, build, precision, [graph])
    return open_plan(marked, library, engine, graph, options)
