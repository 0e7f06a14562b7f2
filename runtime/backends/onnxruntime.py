"""ONNX Runtime: the CPU, or CUDA where its package and a GPU are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends.base import BackendName
from runtime.errors import BackendUnavailableError, BundleError

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
_QUIET = 3
"""ONNX Runtime's log level for errors: its warnings are for its developers."""


class OnnxRuntimeGraph:
    """A graph in an ONNX Runtime session. TF32 is off on CUDA: float32 means float32."""

    backend = BackendName.ONNXRUNTIME

    def __init__(self, path: Path, threads: int | None = None) -> None:
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = _QUIET
        if threads is not None:
            options.intra_op_num_threads = threads
        # Waiting threads that spin take the cores away from whoever else computes in this process or machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Planning one block for all activations holds every buffer at once: at 1024 px it doubles peak memory and,
        # by the pages that it touches, the time of a first run.
        options.enable_mem_pattern = False
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=_providers(runtime))
        except Exception as error:  # ONNX Runtime's exception classes are private
            raise BundleError(f"{path}: ONNX Runtime can't load the graph ({_first_line(error)})") from None
        self.device = "cuda" if CUDA in self._session.get_providers() else "cpu"

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        result: list[np.ndarray] = self._session.run(list(outputs), dict(inputs))
        return result


def import_onnxruntime() -> Any:
    """ONNX Runtime, or BackendUnavailableError with the two packages that bring it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError(
            f"ONNX Runtime can't be imported ({_first_line(error)}): install one of "
            "pip install 'stylegan-edge[cpu]' or pip install 'stylegan-edge[cuda]' (not both: they shadow each other)"
        ) from None
    if not hasattr(onnxruntime, "InferenceSession"):
        raise BackendUnavailableError(
            "ONNX Runtime is installed twice or in part: pip uninstall onnxruntime onnxruntime-gpu, then "
            "pip install 'stylegan-edge[cpu]' or 'stylegan-edge[cuda]'"
        )
    return onnxruntime


def _providers(runtime: Any) -> list[Any]:
    available = runtime.get_available_providers()
    return [(CUDA, {"use_tf32": "0"}), CPU] if CUDA in available else [CPU]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
