"""Where figures are measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.device import Device, read_device
from runtime.errors import BackendUnavailableError

PACKAGES = (
    "stylegan-edge", "numpy", "onnxruntime", "onnxruntime-gpu", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "openvino",
    "cuda-bindings", "tensorrt", "tensorrt-rtx", "torch", "onnx",
)  # fmt: skip
"""Whose versions are told, where they are installed."""


@dataclass(frozen=True)
class Machine:
    """The machine. `cores` are those that this process may use; `gpu` is None where there is none."""

    system: str
    processor: str
    cores: int
    python: str
    gpu: Device | None
    versions: dict[str, str]


def read_machine(gpu: int) -> Machine:
    """Look at it."""
    try:
        device = read_device(gpu)
    except BackendUnavailableError:
        device = None
    return Machine(
        system=platform.platform(),
        processor=processor(),
        cores=available_cores(),
        python=platform.python_version(),
        gpu=device,
        versions=versions(PACKAGES),
    )


def available_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of what is installed of some distributions."""
    return {name: found for name in names if (found := _version(name))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
