"""The ways to execute graphs, the fastest first. What a way needs is imported when it is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.backends.base import BackendName, GraphRunner, RunOptions
from runtime.backends.precisions import arithmetic, graph_precision
from runtime.bundle import Bundle
from runtime.device import Device, machine
from runtime.engine_record import Flavour

Graphs = dict[str, GraphRunner]


@dataclass(frozen=True)
class Way:
    """A way to execute graphs.

    `probe` says in words what is there to execute them, and `open` opens those of a bundle by name, in a precision.
    Both raise a `PASSED_OVER` error (see `choice`) where this machine lacks something.
    """

    backend: BackendName
    name: str
    probe: Callable[[RunOptions], str]
    open: Callable[[Bundle, Sequence[str], str, RunOptions], Graphs]


def _engines(flavour: Flavour, backend: BackendName, name: str) -> Way:
    def probe(options: RunOptions) -> str:
        from runtime.backends.tensorrt import find_host

        library, host = find_host(flavour, options)
        return f"{library.name} on {_named(host.device)}"

    def open_(bundle: Bundle, names: Sequence[str], precision: str, options: RunOptions) -> Graphs:
        from runtime.backends.tensorrt import open_engine

        return open_engine(bundle, flavour, names, precision, options)

    return Way(backend, name, probe, open_)


def _probe_rtx(options: RunOptions) -> str:
    from runtime.backends.onnxruntime_rtx import find_rtx

    runtime, _ = find_rtx(options)
    return f"ONNX Runtime {runtime.__version__} with NVIDIA's plugin"


def _open_rtx(bundle: Bundle, names: Sequence[str], precision: str, options: RunOptions) -> Graphs:
    from runtime.backends.onnxruntime_rtx import OnnxRuntimeRtxGraph

    return {
        name: OnnxRuntimeRtxGraph(path, options, bundle.graph(name, bundle.precision_of(name, precision)).inputs)
        for name, path in _paths(bundle, names, precision).items()
    }


def _probe_cuda(options: RunOptions) -> str:
    from runtime.backends.onnxruntime_cuda import find_cuda

    runtime, device = find_cuda(options)
    return f"ONNX Runtime {runtime.__version__} on {_named(device)}"


def _open_cuda(bundle: Bundle, names: Sequence[str], precision: str, options: RunOptions) -> Graphs:
    from runtime.backends.onnxruntime_cuda import OnnxRuntimeCudaGraph

    return {name: OnnxRuntimeCudaGraph(path, options) for name, path in _paths(bundle, names, precision).items()}


def _probe_cpu(options: RunOptions) -> str:
    from runtime.backends.onnxruntime import import_onnxruntime

    return f"ONNX Runtime {import_onnxruntime().__version__} on {machine()}"


def open_on_cpu(bundle: Bundle, names: Sequence[str], precision: str, options: RunOptions) -> Graphs:
    """Open graphs with ONNX Runtime on the CPU."""
    from runtime.backends.onnxruntime import OnnxRuntimeGraph

    return {name: OnnxRuntimeGraph(path, options) for name, path in _paths(bundle, names, precision).items()}


def _probe_openvino(_: RunOptions) -> str:
    from runtime.backends.openvino import describe

    return describe()


def _open_openvino(bundle: Bundle, names: Sequence[str], precision: str, options: RunOptions) -> Graphs:
    from runtime.backends.openvino import OpenVinoGraph

    return {
        name: OpenVinoGraph(
            bundle.graph_path(name, graph_precision(bundle, name, precision, BackendName.OPENVINO)),
            options,
            arithmetic(name, precision),
        )
        for name in names
    }


def _paths(bundle: Bundle, names: Sequence[str], precision: str) -> dict[str, Path]:
    return {name: bundle.graph_path(name, bundle.precision_of(name, precision)) for name in names}


def _named(device: Device) -> str:
    return f"{device.name}, compute capability {device.compute_capability}"


WAYS = (
    _engines(Flavour.TENSORRT, BackendName.TENSORRT, "TensorRT engine"),
    _engines(Flavour.RTX, BackendName.TENSORRT_RTX, "TensorRT-RTX engine"),
    Way(BackendName.TENSORRT_RTX, "ONNX Runtime with TensorRT-RTX", _probe_rtx, _open_rtx),
    Way(BackendName.ONNXRUNTIME, "ONNX Runtime with CUDA", _probe_cuda, _open_cuda),
    Way(BackendName.ONNXRUNTIME, "ONNX Runtime on the CPU", _probe_cpu, open_on_cpu),
    # Slower than ONNX Runtime on small networks, and about as fast on large ones: see docs/performance.md.
    Way(BackendName.OPENVINO, "OpenVINO on the CPU", _probe_openvino, _open_openvino),
)
"""Every way, in the order that `auto` tries them: the fastest first."""
