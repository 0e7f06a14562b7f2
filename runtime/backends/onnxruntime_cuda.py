"""ONNX Runtime on an NVIDIA GPU, with its CUDA provider."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends.base import BackendName, RunOptions
from runtime.backends.io_binding import BindingDevice, BoundSession
from runtime.backends.onnxruntime import import_onnxruntime, open_session, session_options
from runtime.device import Device, read_device
from runtime.errors import BackendUnavailableError, BundleError

CUDA = "CUDAExecutionProvider"
_LIBRARIES = (
    "install the CUDA and cuDNN that this ONNX Runtime was built for: pip install 'onnxruntime-gpu[cuda,cudnn]'"
)

_log = logging.getLogger(__name__)


class OnnxRuntimeCudaGraph:
    """A graph in an ONNX Runtime session on a GPU. It never falls back to the CPU as a whole; see `_open`."""

    backend = BackendName.ONNXRUNTIME
    device = "cuda"
    max_batch: int | None = None

    def __init__(self, path: Path, options: RunOptions) -> None:
        runtime, _ = find_cuda(options)
        _preload(runtime)
        self._session = BoundSession(runtime, _open(runtime, path, options), BindingDevice("cuda", options.gpu))

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        return self._session.run(inputs, outputs)

    def memory(self) -> None:
        """Unknown: ONNX Runtime does not say what a session holds."""

    def close(self) -> None:
        """Free the session."""
        self._session.close()


def find_cuda(options: RunOptions) -> tuple[Any, Device]:
    """ONNX Runtime with the CUDA provider, and the GPU. Raises BackendUnavailableError where one is missing."""
    runtime = import_onnxruntime()
    _require_provider(runtime)
    # Without a GPU, ONNX Runtime would log an error and make a session on the CPU.
    return runtime, read_device(options.gpu)


def provider_options(options: RunOptions) -> dict[str, str]:
    """What the CUDA provider is told."""
    return {
        "device_id": str(options.gpu),
        # On by default since 1.17: products of 10 bits, where float32 is judged against the reference in float32.
        "use_tf32": "0",
        # The default measures every algorithm anew for each shape that it meets, the last and smaller batch too, and
        # takes what was faster just then: images would differ in the last bit from one start to the next.
        "cudnn_conv_algo_search": "HEURISTIC",
        # 0 would keep cuDNN to 32 MB of workspace, and so from the faster algorithms.
        "cudnn_conv_use_max_workspace": "1",
        # The default doubles the arena each time that it grows: at 1024 px that is gigabytes that nobody asked for, on
        # a Jetson taken from the CPU.
        "arena_extend_strategy": "kSameAsRequested",
    }


def _require_provider(runtime: Any) -> None:
    found = runtime.get_available_providers()
    if CUDA not in found:
        raise BackendUnavailableError(
            f"this ONNX Runtime has {', '.join(found)}, expected {CUDA}: pip uninstall onnxruntime, then "
            "pip install 'stylegan-edge[cuda]' (the two packages shadow each other)"
        )


def _preload(runtime: Any) -> None:
    """Load CUDA and cuDNN where they came as Python packages, which the loader does not search by itself."""
    preload = getattr(runtime, "preload_dlls", None)  # since 1.21
    if preload is None:
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it can't find; the system's loader may find it yet
        preload()
    if said.getvalue():
        _log.debug("preload_dlls: %s", said.getvalue().strip())


def _open(runtime: Any, path: Path, options: RunOptions) -> Any:
    """A session on the GPU. Single nodes may still run on the CPU: ONNX Runtime puts computations of shapes there."""
    try:
        session = open_session(runtime, path, session_options(runtime, options), [(CUDA, provider_options(options))])
    except BundleError as error:
        raise BackendUnavailableError(f"{CUDA} can't be used: {error}") from None
    found = session.get_providers()
    if CUDA not in found:  # the provider's own library did not load, which ONNX Runtime only logs
        raise BackendUnavailableError(
            f"ONNX Runtime made a session on {', '.join(found)}, expected {CUDA}: its libraries can't be loaded; "
            f"{_LIBRARIES}"
        )
    return session
