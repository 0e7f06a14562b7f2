"""OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from runtime.allocator import return_freed_memory
from runtime.backends.base import BackendName, RunOptions
from runtime.device import machine
from runtime.errors import BackendUnavailableError, BundleError
from runtime.extras import require
from runtime.parity import BF16, FP32

DEVICE = "CPU"
"""OpenVINO's name of the device. It has others; which pixels they draw has not been looked at."""
COMPUTES_BF16 = "BF16"
"""OpenVINO's name, among the CPU's capabilities, for instructions that multiply bfloat16."""
MAX_REASON = 200
"""Characters of what OpenVINO says."""

_HINTS = {FP32: "f32", BF16: "bf16"}
_PREAMBLES = ("Exception from ", "Check '", "FrontEnd API failed")
"""How the lines of its messages begin that say where in its sources something failed, and not what."""


class OpenVinoGraph:
    """A graph compiled by OpenVINO for the CPU. Threads may run it at once; they take turns."""

    backend = BackendName.OPENVINO
    device = "cpu"
    max_batch: int | None = None

    def __init__(self, path: Path, options: RunOptions, precision: str = FP32) -> None:
        """`precision` is what it computes in, whatever the graph holds: bfloat16 where that is "bf16", else float32.

        Raises MissingDependencyError or BackendUnavailableError where OpenVINO, or the instructions for bfloat16, are
        missing, BundleError where the graph can't be read.
        """
        core = find_core()
        if precision == BF16 and not has_bf16(core):
            raise BackendUnavailableError(
                f"this CPU, {core.get_property(DEVICE, 'FULL_DEVICE_NAME')}, has no bfloat16 instructions, and "
                f"OpenVINO would compute float32 in silence; --precision {FP32} does the same and says so"
            )
        compiled = _compile(core, path, settings(options, precision))
        if precision == BF16 and computed_precision(compiled) != _HINTS[BF16]:
            raise BackendUnavailableError(
                f"{path}: OpenVINO computes it in {computed_precision(compiled)}, expected {_HINTS[BF16]}; "
                f"--precision {FP32} does the same and says so"
            )
        # One request: for the least latency it runs one at a time on all threads, so more would only hold more memory.
        self._request: Any = compiled.create_infer_request()
        self._lock = threading.Lock()
        return_freed_memory()

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order; copies, which are the caller's."""
        with self._lock:
            try:
                found = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
                return [np.array(found[name]) for name in outputs]  # the next run writes into the request's own
            except Exception as error:  # its exception classes are private
                raise BackendUnavailableError(
                    f"OpenVINO can't run the graph ({reason(error)}); where memory ran out, run fewer images at once"
                ) from None

    def memory(self) -> None:
        """Nothing: it holds no GPU memory."""

    def close(self) -> None:
        """Free the request and, with it, the compiled graph."""
        self._request = None


def settings(options: RunOptions, precision: str) -> dict[str, str | int]:
    """What OpenVINO is told."""
    result: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        # By default it takes the narrowest that the CPU has instructions for: bfloat16, or float16 on ARM.
        "INFERENCE_PRECISION_HINT": _HINTS.get(precision, _HINTS[FP32]),
    }
    if options.threads is not None:
        result["INFERENCE_NUM_THREADS"] = options.threads
    return result


@lru_cache(maxsize=1)
def _core(module: Any) -> Any:
    return module.Core()


def find_core() -> Any:
    """OpenVINO's core, one a process; MissingDependencyError or BackendUnavailableError where it can't be had."""
    try:
        return _core(require("openvino"))
    except (ImportError, AttributeError, RuntimeError) as error:
        raise BackendUnavailableError(
            f"OpenVINO can't be imported ({reason(error)}); pip install --force-reinstall 'stylegan-edge[openvino]'"
        ) from None


def describe() -> str:
    """Version, machine, and whether it computes bfloat16 here, in words."""
    core = find_core()
    version = require("openvino").__version__.split("-")[0]
    return f"OpenVINO {version} on {machine()}, {'with' if has_bf16(core) else 'without'} bfloat16"


def has_bf16(core: Any) -> bool:
    """Whether the CPU has instructions for bfloat16."""
    return COMPUTES_BF16 in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def computed_precision(compiled: Any) -> str:
    """What a compiled graph is really computed in, as OpenVINO names it: a hint need not be taken."""
    name: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return name


def reason(error: Exception) -> str:
    """What OpenVINO says, in one line of bounded length, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(_PREAMBLES)] or lines[:1]
    return " ".join(told)[:MAX_REASON] or type(error).__name__


def _compile(core: Any, path: Path, told: Mapping[str, str | int]) -> Any:
    """Read and compile a graph."""
    try:
        # Asked by its name: `read_model` tries the readers of all formats, and TensorFlow's prints to standard error.
        reader = require("openvino.frontend").FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(path)))
        if not model.outputs:  # what it makes of an empty file
            raise ValueError("it has no outputs")
        return core.compile_model(model, DEVICE, dict(told))
    except Exception as error:  # its exception classes are private, and derive from nothing narrower
        raise BundleError(f"{path}: OpenVINO can't load the graph ({reason(error)})") from None
