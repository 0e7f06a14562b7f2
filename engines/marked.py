"""An engine whose layers can be read: built a second time, of a graph that has them for outputs."""

from __future__ import annotations

from dataclasses import replace

from engines.options import BuildOptions
from engines.store import build_engine
from runtime.backends import GraphRunner, RunOptions, open_graphs
from runtime.backends.tensorrt import BACKENDS, find_host
from runtime.bundle import Bundle
from runtime.engine_record import Flavour
from runtime.engines import choose_engine, graph_digests


def open_marked_engine(
    marked: Bundle, original: Bundle, flavour: Flavour, precision: str, options: RunOptions, graph: str
) -> GraphRunner:
    """Build an engine of a marked copy of a bundle, in that copy, as the one that draws was built, and open a graph.

    Its graphs are those of the bundle, not tuned ones, and TensorRT may fuse fewer operators of a graph whose layers
    are outputs: `LayerReport.unmarked` says how far the images are apart.

    Raises EngineMismatchError where the bundle has no engine for this GPU, and what `build_engine` raises.
    """
    library, host = find_host(flavour, options)
    record = choose_engine(original, host, precision).record
    flags = replace(record.flags, tune=False, strip_weights=False, refittable=False)
    known = graph_digests(marked, precision)
    graphs = [name for name in record.plans if name in known and name not in ("head", "tail")]
    build = BuildOptions(record.profiles, flags, gpu=options.gpu)
    build_engine(marked, library, host.device, build, precision, graphs)
    return open_graphs(marked, [graph], precision, BACKENDS[flavour], options)[0][graph]
