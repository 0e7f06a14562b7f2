"""The NVIDIA GPU that engines are built for and run on, asked of the driver itself: no CUDA package is needed."""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import dataclass

from runtime.errors import BackendUnavailableError

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The library that comes with the driver."""
MAX_NAME = 256
"""Bytes of a device's name, its end included."""

_SM_COUNT = 16
_CAPABILITY_MAJOR = 75
_CAPABILITY_MINOR = 76
"""Attributes by their numbers in the driver's interface, which never change."""
_NO_DEVICE = "no NVIDIA GPU was found"
_ADVICE = "an engine is built on the device that runs it; the ONNX graphs run anywhere with --backend onnxruntime"


@dataclass(frozen=True)
class Device:
    """A GPU and the machine around it; `driver` is the newest CUDA version that the driver serves."""

    name: str
    compute_capability: str
    sm_count: int
    memory: int
    driver: str
    platform: str


def machine() -> str:
    """Operating system and processor, like `linux-x86_64`."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"


def read_device(index: int = 0) -> Device:
    """Describe a GPU. Raises BackendUnavailableError where there is no driver or no such device."""
    driver = _Driver()
    count = driver.number("cuDeviceGetCount")
    if not 0 <= index < count:
        raise BackendUnavailableError(
            f"{_NO_DEVICE} (the driver lists {count}, number {index} was asked for); {_ADVICE}"
        )
    handle = driver.number("cuDeviceGet", ctypes.c_int(index))
    name = ctypes.create_string_buffer(MAX_NAME)
    driver.call("cuDeviceGetName", name, ctypes.c_int(MAX_NAME), ctypes.c_int(handle))
    memory = ctypes.c_size_t()
    driver.call("cuDeviceTotalMem_v2", ctypes.byref(memory), ctypes.c_int(handle))
    version = driver.number("cuDriverGetVersion")
    capability = [driver.attribute(attribute, handle) for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)]
    return Device(
        name=name.value.decode("utf-8", "replace"),
        compute_capability=".".join(map(str, capability)),
        sm_count=driver.attribute(_SM_COUNT, handle),
        memory=memory.value,
        driver=f"{version // 1000}.{version % 1000 // 10}",
        platform=machine(),
    )


class _Driver:
    """The driver's library, initialised."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(DRIVER)
        except OSError:
            raise BackendUnavailableError(f"{_NO_DEVICE} (no driver: {DRIVER} can't be loaded); {_ADVICE}") from None
        self.call("cuInit", ctypes.c_uint(0))

    def call(self, function: str, *arguments: object) -> None:
        code = getattr(self._library, function)(*arguments)
        if code != 0:
            raise BackendUnavailableError(f"{_NO_DEVICE} ({function} answered with error {code}); {_ADVICE}")

    def number(self, function: str, *arguments: object) -> int:
        """What a function writes through its first argument."""
        value = ctypes.c_int()
        self.call(function, ctypes.byref(value), *arguments)
        return value.value

    def attribute(self, attribute: int, handle: int) -> int:
        return self.number("cuDeviceGetAttribute", ctypes.c_int(attribute), ctypes.c_int(handle))
