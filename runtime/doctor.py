"""What this machine has of what the commands need: package versions, execution providers, the GPU, and what to install.

Only ONNX Runtime is imported, because nothing else can say which providers it has. No package is needed to look.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from runtime.backends import Attempt
from runtime.backends.onnxruntime import import_onnxruntime
from runtime.device import machine, read_device
from runtime.errors import BackendUnavailableError
from runtime.extras import how_to_install

MISSING = "missing"
"""What is shown of what was not found."""

_NEEDED_FOR = {
    "torch": "export, verify --reference",
    "onnx": "export",
    "onnxscript": "export",
    "safetensors": "export, convert",
    "openvino": "--backend openvino",
    "imageio": "interpolate",
    "matplotlib": "bench --report, verify --report",
    "cuda-bindings": "--backend tensorrt",
    "tensorrt": "build, --backend tensorrt",
    "tensorrt-rtx": "build and run --backend tensorrt-rtx",
}
"""Optional distributions, and the commands that need them."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `found` is its version or what it says, None where it is missing; then `advice` helps."""

    what: str
    found: str | None
    needed_for: str
    advice: str = ""


def examine(gpu: int = 0) -> list[Finding]:
    """Look at everything. Never raises: what can't be had is a finding."""
    return [
        Finding("Python", platform.python_version(), "everything"),
        Finding("machine", machine(), "everything"),
        Finding("stylegan-edge", _version("stylegan-edge"), "everything"),
        _onnxruntime(),
        _gpu(gpu),
        Finding("numpy", _version("numpy"), "everything"),
        *(Finding(name, _version(name), use, how_to_install(name)) for name, use in _NEEDED_FOR.items()),
    ]


def can_draw(attempts: Iterable[Attempt]) -> bool:
    """Whether graphs can be executed here in some way."""
    return any(item.refused is None for item in attempts)


def _onnxruntime() -> Finding:
    use = "generate, mix, interpolate, verify"
    try:
        module = import_onnxruntime()
    except BackendUnavailableError as error:
        return Finding("onnxruntime", None, use, str(error))
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in module.get_available_providers())
    return Finding("onnxruntime", f"{module.__version__} ({providers})", use)


def _gpu(number: int) -> Finding:
    use = "build, every backend but onnxruntime and openvino on the CPU"
    try:
        device = read_device(number)
    except BackendUnavailableError as error:
        return Finding("GPU", None, use, str(error))
    text = (
        f"{device.name}, compute capability {device.compute_capability}, {device.sm_count} multiprocessors, "
        f"{device.memory >> 20:,} MiB, driver for CUDA {device.driver}"
    )
    return Finding("GPU", text, use)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
