"""The process in which a test builds engines: TensorRT's bindings over TensorRT-RTX's libraries, and a made-up GPU.

python -m tests.engines.tensorrt_cpu.session MODULE ARGUMENT ...     runs the command line, `import MODULE` finding
                                                                     the bindings (`tensorrt` or `tensorrt_rtx`)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.device import Device, machine

ROOT = Path(__file__).parents[3]
GPU = Device("Test GPU", "8.7", 16, 8 << 30, "12.6", machine())
"""There is no GPU: the build takes none, and the record needs one."""
TIMEOUT = 300
"""Seconds after which a build hangs."""


def session_environment(libraries: Path) -> dict[str, str]:
    """The environment of a process that finds TensorRT's libraries: the loader reads it at the start alone."""
    places = [str(libraries), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, places)), "PYTHONPATH": str(ROOT)}


def session_command(arguments: Sequence[object], module: str = "tensorrt") -> list[str]:
    """What to run for `stylegan-edge ARGUMENTS`."""
    return [sys.executable, "-m", "tests.engines.tensorrt_cpu.session", module, *map(str, arguments)]


def run_session(
    arguments: Sequence[object], libraries: Path, module: str = "tensorrt"
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        session_command(arguments, module),
        capture_output=True,
        text=True,
        env=session_environment(libraries),
        timeout=TIMEOUT,
        check=False,
    )


def main() -> None:
    """Run the command line with the GPU made up and the bindings under the name that users import."""
    import tensorrt_bindings

    import runtime.device
    from stylegan_edge import cli

    sys.modules[sys.argv.pop(1)] = tensorrt_bindings
    runtime.device.read_device = lambda index=0: GPU
    cli.main()


if __name__ == "__main__":
    main()
