"""A cluster to try: started as users start it, loaded by clients that ask once, and robbed of a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from runtime.client import Client
from runtime.errors import StyleganEdgeError

ROOT = Path(__file__).parents[1]
PYTHON_VARIABLE = "STYLEGAN_EDGE_RAY_PYTHON"
"""A Python that has Ray, where it is not this one's `ray` folder, as `make test-cluster` makes it."""
START_SECONDS, END_SECONDS = 120, 60
TITLE = "ray::ServeReplica:stylegan-edge:"
"""What Ray calls the application's processes, before their kind."""
IMAGES = 64
"""Seeds that a load asks for in turn; each answer is held against its image."""


def ray_python() -> str | None:
    """A Python that has Ray; None where there is none."""
    beside = Path(sys.prefix) / "ray" / "bin" / "python"
    named = os.environ.get(PYTHON_VARIABLE) or (str(beside) if beside.exists() else sys.executable)
    found = subprocess.run([named, "-c", "import ray.serve"], capture_output=True)
    return named if found.returncode == 0 else None


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class RunningCluster:
    """A cluster of this machine."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def replicas(self, kind: str = "Replica") -> list[int]:
        """The processes that draw, or those of the ingress."""
        return [number for number in _descendants(self.process.pid) if _title(number) == TITLE + kind]

    def wait_for_replicas(self, count: int, seconds: float = 60) -> float:
        """Until so many replicas draw again; the seconds that it took."""
        start = time.monotonic()
        while len(self.drawing(20)) < count:
            if time.monotonic() - start > seconds:
                raise TimeoutError(f"{count} replicas are not there after {seconds:g} s, {len(self.replicas())} are")
            time.sleep(0.1)
        return time.monotonic() - start

    def drawing(self, asked: int) -> set[str]:
        """Which replicas answer, of so many requests."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            return {client.get("/v1/models").headers["x-replica"] for _ in range(asked)}


@contextmanager
def running_cluster(bundle: Path, folder: Path, *options: str, python: str | None = None) -> Iterator[RunningCluster]:
    """`stylegan-edge deploy ray BUNDLE --run`, until the block ends, which must be well."""
    port = free_port()
    variables = {
        "PYTHONPATH": str(ROOT),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }
    log = folder / "cluster.log"
    command = [python or ray_python() or sys.executable, "-m", "stylegan_edge", "deploy", "ray", str(bundle), "--run"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            env=os.environ | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        _wait_for_address(process, log)
        yield RunningCluster(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(END_SECONDS)
    assert code == 0, f"it ended with {code}: {log.read_text()[-2000:]}"


def _wait_for_address(process: subprocess.Popen[str], log: Path) -> None:
    start = time.monotonic()
    while not any(line.startswith("Serving") for line in log.read_text().splitlines()):
        if process.poll() is not None or time.monotonic() - start > START_SECONDS:
            raise RuntimeError(f"the cluster did not start: {log.read_text()[-2000:]}")
        time.sleep(0.1)


@dataclass
class Load:
    """What became of the requests of a load; `lost` says why, by how many."""

    answered: int = 0
    images: int = 0
    wrong: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0


@contextmanager
def loaded(url: str, expected: np.ndarray, clients: int, images: int = 1, retries: int | None = None) -> Iterator[Load]:
    """Clients that ask for images of seeds, psi 0.7, one request after the other, until the block ends.

    Each asks once, or, with `retries`, as `runtime.client.Client` does. `expected` [IMAGES, H, W, C] is what the seeds
    0, 1, ... look like.
    """
    load, ended, lock = Load(), threading.Event(), threading.Lock()

    def ask(first: int) -> None:
        with Client(url, timeout=60, retries=retries or 0) as client:
            if images > 1:
                client.models()  # which a list needs to know, once
            number = first
            while not ended.is_set():
                seeds = [(number + offset) % len(expected) for offset in range(images)]
                number += images * clients
                start = time.monotonic()
                outcome = _outcome(client, seeds, expected)
                with lock:
                    _count(load, outcome, images, time.monotonic() - start)

    threads = [threading.Thread(target=ask, args=(first * images,)) for first in range(clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        load.seconds = time.monotonic() - start


def _outcome(client: Client, seeds: Sequence[int], expected: np.ndarray) -> str | bool:
    """Whether the images are the right ones; or why there are none."""
    try:
        return bool((client.generate(seeds, 0.7) == expected[list(seeds)]).all())
    except StyleganEdgeError as error:
        return str(error)[:120]


def _count(load: Load, outcome: str | bool, images: int, seconds: float) -> None:
    load.slowest = max(load.slowest, seconds)
    if isinstance(outcome, str):
        load.lost[outcome] += 1
        return
    load.answered += 1
    load.images += images
    load.wrong += not outcome


def _descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                owner = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue
            children.setdefault(owner, []).append(int(entry.name))
    found, waiting = [], [parent]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found


def _title(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0].decode().strip()
    except OSError:
        return ""
