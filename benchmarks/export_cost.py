"""Time and peak memory of `stylegan-edge export` for an official-size network, in a process of its own.

python -m benchmarks.export_cost --network stylegan1 --resolution 1024 --runs 3
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.official_sizes import Network
from benchmarks.random_checkpoint import random_checkpoint
from exporter.checkpoints import write_safetensors


@click.command()
@click.option("--network", type=click.Choice([item.value for item in Network]), default=Network.STYLEGAN2.value)
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("--runs", type=click.IntRange(1, 100), default=3)
@click.option("--pipeline", is_flag=True, help="Write the one-graph form too.")
def main(network: str, resolution: str, runs: int, pipeline: bool) -> None:
    """Print wall-clock seconds, start of Python to exit, seconds of a core, and the highest peak of resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.safetensors"
        write_safetensors(random_checkpoint(int(resolution), Network(network)), checkpoint)
        command = [sys.executable, "-m", "stylegan_edge", "export", str(checkpoint), "-o"]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        for run in range(runs):
            start, before = time.perf_counter(), _processor_seconds()
            options = [str(Path(folder) / f"bundle{run}"), *(["--pipeline"] if pipeline else [])]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds, busy = time.perf_counter() - start, _processor_seconds() - before
            print(f"{network}, {resolution} px: {seconds:.1f} s, {busy:.1f} s of a core", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"peak resident memory: {peak:.2f} GB")


def _processor_seconds() -> float:
    """Of all processes that ended: what others on the machine do matters less to it than to the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
