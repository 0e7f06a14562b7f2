"""Watts that a GPU draws while one contestant runs, by NVML, NVIDIA's management library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from runtime.cuda import call, load_driver
from runtime.errors import BackendUnavailableError
from runtime.extras import require

SECONDS = 4.0
"""Runs back to back: turns are too short, since the GPU's own figure is a mean over up to a second."""
SETTLING = 1.5
"""Seconds at the start that are not counted, for the same reason."""
INTERVAL = 0.05
"""Seconds from one sample to the next."""
_BUS_ID = 32
"""Bytes of a GPU's address on the bus, as text."""


class PowerMeter:
    """One GPU's sensor."""

    def __init__(self, gpu: int) -> None:
        """Raises MissingDependencyError or BackendUnavailableError where there is no sensor to be read."""
        self._nvml: Any = require("pynvml")
        driver = load_driver()
        # NVML counts GPUs in another order than CUDA, and knows nothing of CUDA_VISIBLE_DEVICES.
        address = call(driver.cuDeviceGetPCIBusId, _BUS_ID, call(driver.cuDeviceGet, gpu))
        try:
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByPciBusId(bytes(address).split(b"\0")[0])
            self._watts()
        except self._nvml.NVMLError as error:
            raise BackendUnavailableError(f"NVML gives no power here: {error}") from None

    def measure(self, run: Callable[[], object], seconds: float = SECONDS, settling: float = SETTLING) -> float:
        """Mean watts of the whole GPU over runs back to back."""
        samples: list[float] = []
        done = threading.Event()
        start = perf_counter()

        def sample() -> None:
            while not done.wait(INTERVAL):
                if perf_counter() - start > settling:
                    samples.append(self._watts())

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            while perf_counter() - start < seconds:
                run()
        finally:
            done.set()
            thread.join()
        return float(np.mean(samples or [self._watts()]))

    def close(self) -> None:
        """Let NVML go."""
        self._nvml.nvmlShutdown()

    def _watts(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1e3
