"""A folder of libraries that TensorRT's Python bindings load: TensorRT-RTX's, under the names that they look for."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
WHEELS = HERE / "requirements.txt"
SHIM = HERE / "shim.c"
SHIM_NAMES = ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")
"""The libraries that the bindings link to: each is the shim."""
RTX_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
RTX_NAMES = ("libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1")
"""The libraries that the shim opens; the wheel holds each with its full version behind the name."""


def unavailable() -> str | None:
    """Why plans can't be built on this machine; None where they can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"TensorRT-RTX's wheel is for Linux on x86-64, this is {sys.platform} on {platform.machine()}"
    if shutil.which("gcc") is None:
        return "gcc is missing, which builds the shim between TensorRT's bindings and TensorRT-RTX"
    for line in WHEELS.read_text().splitlines():
        if not line.startswith("#"):
            wanted = Requirement(line)
            found = _installed(wanted.name)
            if found is None or found not in wanted.specifier:
                return (
                    f"{wanted.name} is {found or 'not installed'}, expected {wanted.specifier}; "
                    f"pip install --no-deps -r {WHEELS.relative_to(HERE.parents[2])}"
                )
    return None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def link_libraries(folder: Path) -> Path:
    """Build the shim under its names and link TensorRT-RTX's libraries next to it; returns `folder`."""
    for name in SHIM_NAMES:
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(SHIM), "-ldl"]
        subprocess.run(command, check=True)
    # Found, not imported: at import the package writes links into itself and loads 230 MB into this process.
    spec = importlib.util.find_spec(RTX_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    for name in RTX_NAMES:
        (library,) = Path(spec.origin).parent.glob(f"{name}.*")
        (folder / name).symlink_to(library)
    return folder
