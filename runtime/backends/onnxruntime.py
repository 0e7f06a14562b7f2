"""ONNX Runtime on the CPU, and what its other providers share with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.allocator import return_freed_memory
from runtime.backends.base import BackendName, RunOptions
from runtime.errors import BackendUnavailableError, BundleError

CPU = "CPUExecutionProvider"
NO_OPERATOR = "NOT_IMPLEMENTED"
"""What ONNX Runtime says where its operators don't take a graph's types."""
_QUIET = 3
"""ONNX Runtime's log level for errors: its warnings are for its developers."""


class OnnxRuntimeGraph:
    """A graph in an ONNX Runtime session on the CPU."""

    backend = BackendName.ONNXRUNTIME
    device = "cpu"
    max_batch: int | None = None

    def __init__(self, path: Path, options: RunOptions) -> None:
        runtime = import_onnxruntime()
        self._session: Any = open_session(runtime, path, session_options(runtime, options), [CPU])
        return_freed_memory()

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        result: list[np.ndarray] = self._session.run(list(outputs), dict(inputs))
        return result

    def memory(self) -> None:
        """Nothing: it holds no GPU memory."""

    def close(self) -> None:
        """Free the session."""
        self._session = None


def session_options(runtime: Any, options: RunOptions) -> Any:
    """Options that every session of ours has."""
    result = runtime.SessionOptions()
    result.log_severity_level = _QUIET
    if options.threads is not None:
        result.intra_op_num_threads = options.threads
    # Waiting threads that spin take the cores away from whoever else computes in this process or machine.
    result.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning one block for all activations holds every buffer at once: at 1024 px it doubles peak memory and,
    # by the pages that it touches, the time of a first run.
    result.enable_mem_pattern = False
    return result


def open_session(runtime: Any, path: Path, options: Any, providers: Sequence[Any]) -> Any:
    """Load a graph; `providers` may be empty where the options name devices. Raises BundleError where it can't."""
    try:
        # Its own fallback prints to standard output and goes on, on the CPU, without a word to the caller.
        return runtime.InferenceSession(str(path), options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exception classes are private
        if NO_OPERATOR in str(error):
            raise BackendUnavailableError(
                f"ONNX Runtime has no operators on this device for {path.name} ({first_line(error)}); run it with "
                "TensorRT, or another --precision"
            ) from None
        raise BundleError(f"{path}: ONNX Runtime can't load the graph ({first_line(error)})") from None


def import_onnxruntime() -> Any:
    """ONNX Runtime, or BackendUnavailableError with the two packages that bring it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError(
            f"ONNX Runtime can't be imported ({first_line(error)}): install one of "
            "pip install 'stylegan-edge[cpu]' or pip install 'stylegan-edge[cuda]' (not both: they shadow each other)"
        ) from None
    if not hasattr(onnxruntime, "InferenceSession"):
        raise BackendUnavailableError(
            "ONNX Runtime is installed twice or in part: pip uninstall onnxruntime onnxruntime-gpu, then "
            "pip install 'stylegan-edge[cpu]' or 'stylegan-edge[cuda]'"
        )
    return onnxruntime


def first_line(error: Exception) -> str:
    """What an error says, in one line of bounded length."""
    return str(error).strip().split("\n")[0][:200]
