"""The real tritonserver, started on a repository; its `onnxruntime` backend is the one in `backends/`."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WHEELS = HERE / "requirements.txt"
VENV_VARIABLE = "STYLEGAN_EDGE_TRITON_VENV"
"""Where the server's environment is, unless in the folder `triton` of this one, as `make test` puts it."""
START_SECONDS = 60.0
"""It takes 2 to 5; with a library that it can't find it never gets ready, and says nothing."""
EXIT_SECONDS = 1
"""How long it waits for clients that stay connected."""
STOP_SECONDS = 15.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The server's environment was made by this interpreter."""


def venv() -> Path:
    return Path(os.environ.get(VENV_VARIABLE) or Path(sys.prefix) / "triton")


def packages() -> Path:
    return venv() / "lib" / PYTHON / "site-packages"


def unavailable() -> str | None:
    """Why the server can't be started here; None where it can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"tritonserver's wheel is for Linux on x86-64, this is {sys.platform} on {platform.machine()}"
    for line in WHEELS.read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition(" ;")[0].partition("==")
            if not list(packages().glob(f"{name.replace('-', '_')}-{version}.dist-info")):
                return (
                    f"{name} {version} is not in {venv()}; {PYTHON} -m venv there, and install with --no-deps "
                    f"-r {WHEELS.relative_to(HERE.parents[2])}"
                )
    if not (packages() / "pytriton/tritonserver/python_backend_stubs" / PYTHON.removeprefix("python")).is_dir():
        return f"tritonserver's wheel has no Python backend for {PYTHON}"
    return None


@dataclass(frozen=True)
class Server:
    """A server that is ready: where it listens, and the file that it logs to."""

    http: str
    grpc: str
    log: Path


@contextmanager
def running(repository: Path, folder: Path, *options: str) -> Iterator[Server]:
    """A server that has loaded every model of a repository, for as long as the `with` lasts."""
    backends = _join_backends(folder / "backends")
    ports = _free_ports(2)
    command = [
        str(packages() / "pytriton/tritonserver/bin/tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        f"--http-port={ports[0]}",
        f"--grpc-port={ports[1]}",
        "--allow-metrics=false",
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={EXIT_SECONDS}",
        *options,
    ]
    log = folder / "server.log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, env=_environment()) as process:
        try:
            _wait_until_ready(process, ports[0], log)
            yield Server(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _join_backends(folder: Path) -> Path:
    """The wheel's Python backend with the stub of this interpreter beside it, and the backend that it runs."""
    server = packages() / "pytriton/tritonserver"
    shutil.copytree(server / "backends/python", folder / "python")
    stub = server / "python_backend_stubs" / PYTHON.removeprefix("python") / "triton_python_backend_stub"
    shutil.copy(stub, folder / "python")
    shutil.copytree(HERE / "backends/onnxruntime", folder / "onnxruntime")
    return folder


def _environment() -> dict[str, str]:
    libraries = [str(packages() / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return {
        "PATH": f"{venv() / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(libraries),
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
    }


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all held until the last is found."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"tritonserver ended with {process.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"tritonserver was not ready within {START_SECONDS:g} s:\n{log.read_text()[-4000:]}")
