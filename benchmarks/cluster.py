"""What a cluster loses when parts of it are killed, and how it grows: the figures of docs/cluster.md.

    python -m benchmarks.cluster BUNDLE

needs Ray, see `benchmarks.cluster_run.ray_python`; for emulated nodes, root and `unshare` as well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from benchmarks.cluster_run import IMAGES, ROOT, Load, RunningCluster, loaded, ray_python, running_cluster
from runtime import Generator
from runtime.client.retrying import RETRIES

CLIENTS = 16
KILL_RUNS, NODE_RUNS, SCALING_RUNS = 5, 3, 3
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 4.0
"""Of load before something is killed, and after."""
SCALING_SECONDS = 6.0
WARM_UP_SECONDS = 2.0


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--part", type=click.Choice(["kill", "nodes", "scaling"]), multiple=True, help="[default: all]")
def main(bundle: Path, part: tuple[str, ...]) -> None:
    """Measure a cluster of this machine."""
    python = ray_python()
    if python is None:
        raise click.ClickException("Ray is not installed; `make test-cluster` installs it")
    expected = Generator.load(bundle, threads=1).generate(range(IMAGES), 0.7)
    parts: dict[str, Callable[[], None]] = {
        "kill": lambda: kills(bundle, python, expected),
        "nodes": lambda: nodes(bundle, python),
        "scaling": lambda: scaling(bundle, python, expected),
    }
    for name, measure in parts.items():
        if not part or name in part:
            measure()


def kills(bundle: Path, python: str, expected: np.ndarray) -> None:
    """One of two processes killed -9, of those that draw and of those of the ingress."""
    print(f"\nOne of two processes killed -9 under load, {CLIENTS // 2} clients that ask once and as many that retry")
    print("| what | run | once: answered | lost | retrying: answered | lost | wrong | slowest | two again after |")
    print("|---|---|---|---|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cluster(bundle, Path(folder), "--replicas", "2", python=python) as cluster,
    ):
        for kind in ("Replica", "Ingress"):
            for run in range(1, KILL_RUNS + 1):
                once, again, seconds = _kill(cluster, kind, expected)
                print(
                    f"| {kind.lower()} | {run} | {once.answered} | {sum(once.lost.values())} | {again.answered} "
                    f"| {sum(again.lost.values())} | {once.wrong + again.wrong} "
                    f"| {max(once.slowest, again.slowest):.2f} s | {seconds:.1f} s |",
                    flush=True,
                )


def _kill(cluster: RunningCluster, kind: str, expected: np.ndarray) -> tuple[Load, Load, float]:
    victim = cluster.replicas(kind)[0]
    half = CLIENTS // 2
    with (
        loaded(cluster.url, expected, half) as once,
        loaded(cluster.url, expected, half, retries=RETRIES) as again,
    ):
        time.sleep(BEFORE_SECONDS)
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        time.sleep(AFTER_SECONDS)
        while len(cluster.replicas(kind)) < 2:
            time.sleep(0.1)
        cluster.wait_for_replicas(2)
        seconds = time.monotonic() - killed
    return once, again, seconds


def nodes(bundle: Path, python: str) -> None:
    """One of three emulated nodes killed."""
    print(
        f"\nOne of three emulated nodes killed under load, {CLIENTS // 2} clients that ask once and as many that retry"
    )
    print("| run | died with it | retrying: answered | lost | wrong | slowest | once: answered | lost |")
    print("|---|---|---|---|---|---|---|---|")
    for run in range(1, NODE_RUNS + 1):
        command = ["unshare", "-n", python, "-m", "benchmarks.cluster_nodes", str(bundle)]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise click.ClickException(f"no result: {done.stderr[-1000:]}")
        found = json.loads(lines[-1])
        died = " and ".join(found["killed_with_it"]).lower()
        print(
            f"| {run} | {died} | {found['answered']} | {sum(found['lost'].values())} | {found['wrong']} "
            f"| {found['slowest']:.2f} s | {found['answered_once']} | {sum(found['lost_once'].values())} |",
            flush=True,
        )


def scaling(bundle: Path, python: str, expected: np.ndarray) -> None:
    """Images a second of one replica and of two."""
    print(f"\nImages a second, {CLIENTS} clients on the same {os.cpu_count()} cores, best of {SCALING_RUNS} runs (all)")
    print("| replicas | one image a request | 16 images a request |")
    print("|---|---|---|")
    for replicas in (1, 2):
        with (
            tempfile.TemporaryDirectory() as folder,
            running_cluster(bundle, Path(folder), "--replicas", str(replicas), python=python) as cluster,
        ):
            cells = [_rates(cluster, expected, images) for images in (1, 16)]
        print(f"| {replicas} | {cells[0]} | {cells[1]} |", flush=True)


def _rates(cluster: RunningCluster, expected: np.ndarray, images: int) -> str:
    rates = []
    with loaded(cluster.url, expected, CLIENTS, images):
        time.sleep(WARM_UP_SECONDS)
    for _ in range(SCALING_RUNS):
        with loaded(cluster.url, expected, CLIENTS, images) as load:
            time.sleep(SCALING_SECONDS)
        if load.lost or load.wrong:
            raise click.ClickException(f"lost {dict(load.lost)}, {load.wrong} wrong")
        rates.append(load.images / load.seconds)
    return f"{max(rates):.0f} ({', '.join(f'{rate:.0f}' for rate in rates)})"


if __name__ == "__main__":
    sys.exit(main())
