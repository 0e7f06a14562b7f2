"""Bindings of several TensorRT versions, each imported in a process of its own over empty libraries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
VERSIONS = tuple(
    line.split()[0] for line in (HERE / "versions.txt").read_text().splitlines() if not line.startswith("#")
)
WHEELS = Path(sys.prefix) / "tensorrt"
"""Where `make test` puts each version's bindings, a folder a version."""
LIBRARY = re.compile(rb"libnv(?:infer|infer_plugin|onnxparser|parsers)\.so\.\d+")
"""The libraries of TensorRT that the bindings name."""
LIST_NAMES = """
import json, sys
import tensorrt_bindings
names = {}
for name in dir(tensorrt_bindings):
    value = getattr(tensorrt_bindings, name)
    names[name] = dir(value) if isinstance(value, type) else []
json.dump({"version": tensorrt_bindings.__version__, "names": names}, sys.stdout)
"""


def unavailable(version: str) -> str | None:
    """Why a version's bindings can't be looked into here; None where they can."""
    if not sys.platform.startswith("linux"):
        return "the bindings are looked into on Linux"
    folder = WHEELS / version / "tensorrt_bindings"
    if not (folder / "tensorrt.so").is_file():
        return f"TensorRT {version}'s bindings are not in {folder.parent}; `make test` puts them there where it can"
    return None


def read_names(version: str, folder: Path) -> dict[str, frozenset[str]]:
    """Every name of a version's bindings, with the members of those that are classes. `folder` takes the libraries."""
    home = WHEELS / version
    for library in set(LIBRARY.findall((home / "tensorrt_bindings" / "tensorrt.so").read_bytes())):
        name = library.decode()
        subprocess.run(
            ["gcc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, HERE / "stub.c"], check=True
        )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(home)}
    command = [sys.executable, "-W", "ignore", "-c", LIST_NAMES]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, f"the bindings of {version} can't be imported: {done.stderr}"
    found = json.loads(done.stdout)
    assert found["version"] == version
    return {name: frozenset(members) for name, members in found["names"].items()}
