"""TensorRT engines of a bundle, run without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from runtime.backends.base import BackendName, GraphRunner, RunOptions
from runtime.backends.tensorrt.plan import load_plan
from runtime.backends.tensorrt.runner import TensorRtGraph
from runtime.backends.ways import open_on_cpu
from runtime.bundle import Bundle
from runtime.cuda import Gpu, load_driver
from runtime.device import read_device
from runtime.engine_record import Flavour, Host
from runtime.engines import Engine, choose_engine
from runtime.errors import EngineMismatchError
from runtime.manifest import GraphInfo
from runtime.tensorrt.versions import Library, load_library

BACKENDS = {Flavour.TENSORRT: BackendName.TENSORRT, Flavour.RTX: BackendName.TENSORRT_RTX}


def find_host(flavour: Flavour, options: RunOptions) -> tuple[Library, Host]:
    """TensorRT, and where it would run engines.

    Raises BackendUnavailableError or MissingDependencyError where TensorRT, CUDA's bindings or the GPU are not there.
    """
    library = load_library(flavour)
    device = read_device(options.gpu)
    load_driver()
    return library, Host(device, flavour, library.version)


def open_engine(
    bundle: Bundle, flavour: Flavour, names: Sequence[str], precision: str, options: RunOptions
) -> dict[str, GraphRunner]:
    """Open graphs of the engine that fits this GPU. What it lacks: mapping on ONNX Runtime, the pipeline not at all.

    Raises BackendUnavailableError or MissingDependencyError where TensorRT, its bindings or the GPU are not there,
    EngineMismatchError, with the command that builds one, where no engine fits, IntegrityError where a plan changed.
    """
    library, host = find_host(flavour, options)
    engine = choose_engine(bundle, host, precision)
    graphs: dict[str, GraphRunner] = {}
    with ExitStack() as stack:
        for name in names:
            if name == "pipeline" and name not in engine.record.plans:
                continue  # nothing draws with it: verify alone opens it, to prove what the engine has
            graphs[name] = _open_graph(bundle, host, library, engine, name, options)
            stack.callback(graphs[name].close)
        stack.pop_all()
    return graphs


def _open_graph(
    bundle: Bundle, host: Host, library: Library, engine: Engine, name: str, options: RunOptions
) -> GraphRunner:
    precision = bundle.precision_of(name, engine.record.precision)
    if name not in engine.record.plans:
        try:
            engine = choose_engine(bundle, host, precision, name)
        except EngineMismatchError:
            if name != "mapping":
                raise
            # Mapping has a thousandth of a generator's work: an engine of synthesis alone is worth running.
            return open_on_cpu(bundle, [name], precision, options)[name]
    return open_plan(bundle, library, engine, name, options)


def open_plan(bundle: Bundle, library: Library, engine: Engine, name: str, options: RunOptions) -> TensorRtGraph:
    """Open one graph of an engine that fits this GPU."""
    precision = engine.record.precision
    return open_graph(library, engine, name, bundle.graph(name, precision), bundle.graph_path(name, precision), options)


def open_graph(
    library: Library, engine: Engine, name: str, info: GraphInfo, source: Path, options: RunOptions
) -> TensorRtGraph:
    """The same for a graph of this interface, in this file; of no bundle's, where a plan is tried before it has one."""
    gpu = Gpu.open(options.gpu)
    with gpu.current():
        plan = load_plan(library, engine, name, info, source)
    return TensorRtGraph(gpu, plan, BACKENDS[engine.record.flavour], options.contexts, options.cuda_graphs)
