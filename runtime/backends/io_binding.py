"""An ONNX Runtime session fed through IO binding: inputs lie on the device, and what stays the same stays there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.backends.base import is_constant
from runtime.backends.onnxruntime import first_line
from runtime.errors import BackendUnavailableError

NO_VENDOR = -1
"""ONNX Runtime's word for a device type that says all, like "cpu" or "cuda"."""


@dataclass(frozen=True)
class BindingDevice:
    """Where inputs are put, in ONNX Runtime's words: "cuda" or "cpu", or "gpu" with the number of its vendor."""

    type: str
    number: int = 0
    vendor: int = NO_VENDOR


class BoundSession:
    """Runs a session with its inputs on a device.

    An array that nobody can write into is uploaded once, and again only where another takes its place: the noise of a
    1024 px network is 11 MB a call. Threads may run it at once: each call has a binding of its own.
    """

    def __init__(self, runtime: Any, session: Any, device: BindingDevice) -> None:
        self._runtime, self._session, self._device = runtime, session, device
        self._constants: dict[str, tuple[np.ndarray, Any]] = {}
        self._lock = threading.Lock()

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], run_options: Any = None
    ) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order; only these are copied back."""
        binding = self._session.io_binding()
        try:
            for name, array in inputs.items():
                binding.bind_ortvalue_input(name, self._on_device(name, array))
            for name in outputs:
                binding.bind_output(name, "cpu")  # ONNX Runtime allocates it and copies into it when the run ends
            self._session.run_with_iobinding(binding, run_options)
            result: list[np.ndarray] = binding.copy_outputs_to_cpu()
        except Exception as error:  # ONNX Runtime's exception classes are private
            raise BackendUnavailableError(
                f"ONNX Runtime can't run the graph on {self._device.type} {self._device.number} "
                f"({first_line(error)}); where memory ran out, run fewer images at once"
            ) from None
        return result

    def close(self) -> None:
        """Free the session and what it holds on the device."""
        with self._lock:
            self._constants.clear()
        self._session = None

    def upload(self, array: np.ndarray) -> Any:
        """Copy an array to the device; on "cpu", ONNX Runtime reads it where it lies."""
        device = self._device
        make = self._runtime.OrtValue.ortvalue_from_numpy
        contiguous = np.ascontiguousarray(array)
        if device.vendor == NO_VENDOR:  # older releases know no vendors
            return make(contiguous, device.type, device.number)
        return make(contiguous, device.type, device.number, device.vendor)

    def _on_device(self, name: str, array: np.ndarray) -> Any:
        if not is_constant(array):
            with self._lock:
                self._constants.pop(name, None)
            return self.upload(array)
        with self._lock:
            known = self._constants.get(name)
            if known is None or known[0] is not array:
                known = self._constants[name] = (array, self.upload(array))
        return known[1]
