"""Time and peak memory of `stylegan-edge verify --reference` for an official-size network, in a process of its own.

python -m benchmarks.verify_cost --resolution 1024 --samples 16
"""

from __future__ import annotations

import os
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
@click.option("--samples", type=click.IntRange(1, 65_536), default=16)
@click.option("--precision", default="fp32", help="Precisions to export and verify.")
def main(network: str, resolution: str, samples: int, precision: str) -> None:
    """Print what verify prints, its wall-clock and processor seconds, and its peak of resident memory."""
    command = [sys.executable, "-m", "stylegan_edge"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, bundle = Path(folder) / "checkpoint.safetensors", Path(folder) / "bundle"
        write_safetensors(random_checkpoint(int(resolution), Network(network)), checkpoint)
        export = ["export", str(checkpoint), "-o", str(bundle), "--precision", precision]
        subprocess.run([*command, *export], check=True, stdout=subprocess.DEVNULL, env=environment)
        start = time.perf_counter()
        verify = ["verify", str(bundle), "--reference", str(checkpoint), "--samples", str(samples)]
        process = subprocess.Popen([*command, *verify], env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    busy = usage.ru_utime + usage.ru_stime
    print(f"{network}, {resolution} px, {samples} samples, exit code {os.waitstatus_to_exitcode(status)}")
    print(f"{seconds:.0f} s, {busy:.0f} s of processors; peak resident memory {usage.ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
