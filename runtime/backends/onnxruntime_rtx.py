"""TensorRT-RTX through ONNX Runtime: NVIDIA's plugin brings both from the package index, and builds as it loads."""

from __future__ import annotations

import importlib.util
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends.base import BackendName, RunOptions
from runtime.backends.io_binding import BindingDevice, BoundSession
from runtime.backends.onnxruntime import first_line, import_onnxruntime, open_session, session_options
from runtime.device import Device, read_device
from runtime.errors import BackendUnavailableError, BundleError
from runtime.extras import how_to_install
from runtime.manifest import TensorInfo

RTX = "NvTensorRTRTXExecutionProvider"
PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
NVIDIA = 0x10DE
"""NVIDIA's number among the vendors of devices."""
MAX_BATCH = 16
"""Images at once. Without a bound the plugin assumes up to 32767, and then plans little of its memory ahead."""
TF32 = "NVIDIA_TF32_OVERRIDE"
"""The environment variable that switches TF32 off; the plugin has no option for it."""

_SUPPORTED = "it supports compute capability 8.6, 8.9, and 12.0 or newer"
_registering = threading.Lock()


class OnnxRuntimeRtxGraph:
    """A graph that TensorRT-RTX executes whole: a node that it can't take is an error, not a detour by the CPU."""

    backend = BackendName.TENSORRT_RTX
    device = "cuda"
    max_batch: int | None = MAX_BATCH

    def __init__(self, path: Path, options: RunOptions, inputs: Sequence[TensorInfo] = ()) -> None:
        """`inputs` describes the graph's inputs, so that the plugin may plan for batches up to `max_batch`."""
        runtime, gpu = find_rtx(options)
        session = _open(runtime, path, options, gpu, provider_options(options, inputs))
        self._runtime = runtime
        self._session = BoundSession(runtime, session, BindingDevice("gpu", options.gpu, NVIDIA))
        self._recordings = Recordings() if options.cuda_graphs else None

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        run_options = None
        if self._recordings is not None:
            run_options = self._runtime.RunOptions()
            run_options.add_run_config_entry("cuda_graph_annotation_id", str(self._recordings.number(inputs, outputs)))
        return self._session.run(inputs, outputs, run_options)

    def memory(self) -> None:
        """Unknown: ONNX Runtime does not say what a session holds."""

    def close(self) -> None:
        """Free the session. The plugin stays registered: others may use it."""
        self._session.close()


def find_rtx(options: RunOptions) -> tuple[Any, Any]:
    """ONNX Runtime with the plugin, and its device for the GPU. Raises BackendUnavailableError where one is missing."""
    runtime = _import_runtime()
    # Without a driver the plugin's library can't be loaded, and importing its package loads 230 MB for nothing.
    found = read_device(options.gpu)
    return runtime, _choose(_plugin_devices(runtime), options.gpu, found)


class Recordings:
    """Numbers for recorded launches: a recording is of fixed shapes, and batches differ, so each has its own."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._lock = threading.Lock()

    def number(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> int:
        """The number of the recording for these shapes and outputs."""
        key = (tuple(sorted((name, array.shape) for name, array in inputs.items())), tuple(outputs))
        with self._lock:
            return self._numbers.setdefault(key, len(self._numbers))


def provider_options(options: RunOptions, inputs: Sequence[TensorInfo]) -> dict[str, str]:
    """What the plugin is told; its header, tensorrt_rtx_provider_options.h, lists all."""
    result = {"enable_cuda_graph": "1" if options.cuda_graphs else "0"}
    shapes = dict(_profile(inputs))
    if shapes:
        for index, which in enumerate(("min", "opt", "max")):
            result[f"nv_profile_{which}_shapes"] = ",".join(
                f"{name}:{'x'.join(map(str, sizes[index]))}" for name, sizes in shapes.items()
            )
    return result


def _profile(inputs: Sequence[TensorInfo]) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """The smallest, typical and largest shape of each input with a free size; tuned for one image at once."""
    for item in inputs:
        if any(isinstance(size, str) for size in item.shape):
            yield item.name, [_filled(item.shape, batch) for batch in (1, 1, MAX_BATCH)]


def _filled(shape: Sequence[int | str], batch: int) -> tuple[int, ...]:
    return tuple(batch if isinstance(size, str) else size for size in shape)


def _import_runtime() -> Any:
    """ONNX Runtime with plugins, where NVIDIA's is installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise BackendUnavailableError(
            f"{PACKAGE} is not installed, which brings TensorRT-RTX to ONNX Runtime: {how_to_install(PACKAGE)}"
        )
    runtime = import_onnxruntime()
    if not hasattr(runtime, "register_execution_provider_library"):
        raise BackendUnavailableError(
            f"ONNX Runtime {runtime.__version__} takes no plugins, expected 1.24 or newer: {how_to_install(PACKAGE)}"
        )
    return runtime


def _plugin_devices(runtime: Any) -> list[Any]:
    """The plugin's devices; loads and registers it first, once a process."""
    with _registering:
        devices = _listed(runtime)
        if not devices:
            # float32 must mean float32, and TensorRT's default is TF32. Read when an engine is built and when it runs,
            # so it stays; a value that somebody chose stays too.
            os.environ.setdefault(TF32, "0")
            _register(runtime)
            devices = _listed(runtime)
    return devices


def _listed(runtime: Any) -> list[Any]:
    return [item for item in runtime.get_ep_devices() if item.ep_name == RTX]


def _register(runtime: Any) -> None:
    try:
        import onnxruntime_ep_nv_tensorrt_rtx as plugin

        runtime.register_execution_provider_library(RTX, plugin.get_library_path())
    except Exception as error:  # ONNX Runtime's exception classes are private; the package raises OSError
        if "already registered" in str(error):  # by an earlier try, which found no device
            return
        # Without the folder, which is long and would push the reason out of the line.
        reason = RuntimeError(re.sub(r"/\S*/", "", str(error)))
        raise BackendUnavailableError(
            f"the TensorRT-RTX plugin can't be loaded into ONNX Runtime {runtime.__version__} ({first_line(reason)}); "
            f"expected an NVIDIA driver that serves CUDA 13, and {how_to_install(PACKAGE)}"
        ) from None


def _choose(devices: Sequence[Any], gpu: int, found: Device) -> Any:
    """The plugin's device with the number of the GPU; it lists only those that it supports."""
    for position, item in enumerate(devices):
        if str(item.ep_options.get("device_id", position)) == str(gpu):
            return item
    raise BackendUnavailableError(
        f"the TensorRT-RTX plugin lists {len(devices)} GPUs, and not number {gpu}, {found.name} of compute capability "
        f"{found.compute_capability}; {_SUPPORTED}: --backend onnxruntime runs the graphs with CUDA"
    )


def _open(runtime: Any, path: Path, options: RunOptions, gpu: Any, provider: Mapping[str, str]) -> Any:
    settings = session_options(runtime, options)
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        settings.add_provider_for_devices([gpu], dict(provider))
        session = open_session(runtime, path, settings, [])
    except BundleError as error:
        raise BackendUnavailableError(f"{RTX} can't be used: {error}") from None
    except Exception as error:  # ONNX Runtime's exception classes are private
        raise BackendUnavailableError(f"{RTX} refuses its options: {first_line(error)}") from None
    found = session.get_providers()
    if RTX not in found:
        raise BackendUnavailableError(f"ONNX Runtime made a session on {', '.join(found)}, expected {RTX}")
    return session
