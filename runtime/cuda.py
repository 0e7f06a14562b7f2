"""CUDA as the TensorRT backend needs it, through NVIDIA's own bindings of the driver (`cuda-bindings`).

The driver's interface is the part of CUDA that every later driver keeps, and needs no CUDA toolkit. A GPU's primary
context is used, which TensorRT, PyTorch and ONNX Runtime use as well, and it stays for the life of the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from runtime.errors import BackendUnavailableError, GpuError
from runtime.extras import require

_OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
_PORTABLE = 1
"""Flag of pinned memory that every context may copy from."""
_NON_BLOCKING = 1
"""Flag of a stream that does not wait for the default stream."""


@cache
def load_driver() -> Any:
    """The bindings, initialised.

    Raises MissingDependencyError where they are not installed, BackendUnavailableError where there is no driver or GPU.
    """
    driver = require("cuda.bindings.driver")
    try:
        (code,) = driver.cuInit(0)
    except Exception as error:  # the bindings' own class for a driver that is missing is private
        raise BackendUnavailableError(f"NVIDIA's driver can't be loaded ({error}); it comes with the GPU") from None
    if code != driver.CUresult.CUDA_SUCCESS:
        raise BackendUnavailableError(f"NVIDIA's driver can't be used: it answers {code.name}")
    return driver


def call(function: Any, *arguments: Any) -> Any:
    """Call the driver: what it returns, one value or a tuple. Raises GpuError with the driver's own words."""
    try:
        code, *values = function(*arguments)
    except RuntimeError as error:  # how the bindings say that the driver lacks a function
        raise GpuError(f"NVIDIA's driver is too old for its bindings ({error}); install cuda-bindings<13") from None
    if int(code) != 0:
        name = getattr(code, "name", str(code))
        advice = "a smaller --batch or fewer contexts need less" if name == _OUT_OF_MEMORY else "see 'doctor'"
        raise GpuError(f"the GPU's driver answers {name} to {function.__name__}; {advice}")
    return values[0] if len(values) == 1 else tuple(values)


class Gpu:
    """A GPU's primary context. `Gpu.open` gives the same object for the same number."""

    def __init__(self, index: int) -> None:
        self._driver = load_driver()
        self.index = index
        device = call(self._driver.cuDeviceGet, index)
        self._context = call(self._driver.cuDevicePrimaryCtxRetain, device)

    @staticmethod
    @cache
    def open(index: int) -> Gpu:
        """The GPU of a number. Raises BackendUnavailableError, MissingDependencyError or GpuError."""
        return Gpu(index)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it this thread's GPU inside a `with`, and give the thread its former one back."""
        call(self._driver.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            call(self._driver.cuCtxPopCurrent)

    def free_memory(self) -> int:
        """Bytes that no process uses."""
        with self.current():
            free, _ = call(self._driver.cuMemGetInfo)
        return int(free)


def synchronize() -> None:
    """Wait until this thread's GPU has done all that anybody queued in its context."""
    call(load_driver().cuCtxSynchronize)


@contextmanager
def on_gpu(index: int) -> Iterator[None]:
    """Let what uses CUDA by itself use this GPU inside a `with`. The first one is what it uses anyway."""
    if index == 0:
        yield
    else:
        with Gpu.open(index).current():
            yield


class DeviceBlock:
    """GPU memory of this thread's GPU."""

    def __init__(self, size: int) -> None:
        self._driver = load_driver()
        self.size = size
        self.address = int(call(self._driver.cuMemAlloc, max(1, size)))

    def close(self) -> None:
        """Free it. A second time does nothing."""
        if self.address:
            address, self.address = self.address, 0
            call(self._driver.cuMemFree, address)


class PinnedBlock:
    """Host memory that the GPU copies from and to by itself; `bytes` is a view of it, uint8 [size]."""

    def __init__(self, size: int) -> None:
        self._driver = load_driver()
        self.address = int(call(self._driver.cuMemHostAlloc, max(1, size), _PORTABLE))
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self.address))

    def view(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The first bytes as an array."""
        size = int(np.prod(shape)) * dtype.itemsize
        return self.bytes[:size].view(dtype).reshape(shape)

    def close(self) -> None:
        """Free it; views of it must not be used any more. A second time does nothing."""
        if self.address:
            address, self.address = self.address, 0
            call(self._driver.cuMemFreeHost, address)


class LaunchGraph:
    """Recorded launches, replayed with one call."""

    def __init__(self, graph: Any) -> None:
        self._driver = load_driver()
        try:
            self._launchable = call(self._driver.cuGraphInstantiate, graph, 0)
        finally:
            call(self._driver.cuGraphDestroy, graph)

    def launch(self, stream: Stream) -> None:
        """Replay on a stream."""
        call(self._driver.cuGraphLaunch, self._launchable, stream.handle)

    def close(self) -> None:
        """Free it. A second time does nothing."""
        if self._launchable is not None:
            launchable, self._launchable = self._launchable, None
            call(self._driver.cuGraphExecDestroy, launchable)

    @staticmethod
    def discard(graph: Any) -> None:
        """Free a recording that is not to be replayed."""
        call(load_driver().cuGraphDestroy, graph)


class Stream:
    """A queue of work on this thread's GPU, independent of the default stream."""

    def __init__(self) -> None:
        self._driver = load_driver()
        self.handle = call(self._driver.cuStreamCreate, _NON_BLOCKING)

    def __int__(self) -> int:
        return int(self.handle)

    def upload(self, target: int, source: int, size: int) -> None:
        """Queue a copy from pinned host memory to the GPU; arguments are addresses and bytes."""
        call(self._driver.cuMemcpyHtoDAsync, target, source, size, self.handle)

    def download(self, target: int, source: int, size: int) -> None:
        """Queue a copy from the GPU to pinned host memory."""
        call(self._driver.cuMemcpyDtoHAsync, target, source, size, self.handle)

    def copy(self, target: int, source: int, size: int) -> None:
        """Queue a copy on the GPU."""
        call(self._driver.cuMemcpyDtoDAsync, target, source, size, self.handle)

    def synchronize(self) -> None:
        """Wait until all that was queued is done."""
        call(self._driver.cuStreamSynchronize, self.handle)

    def begin_capture(self) -> None:
        """Record what this thread queues from here on instead of doing it."""
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        call(self._driver.cuStreamBeginCapture, self.handle, mode)

    def end_capture(self) -> Any:
        """The recording, for `LaunchGraph`."""
        return call(self._driver.cuStreamEndCapture, self.handle)

    def close(self) -> None:
        """Free it. A second time does nothing."""
        if self.handle is not None:
            handle, self.handle = self.handle, None
            call(self._driver.cuStreamDestroy, handle)
