"""`stylegan-edge bench` on a network of official size with random weights, or on a checkpoint, beside the reference.

    python -m benchmarks.speed --network stylegan3-t --resolution 256 --batch 1,4 --report bench.html

Makes the checkpoint and its bundle in a temporary folder, and measures in a process of its own: exporting changes how
this one allocates memory. Options that are not listed are those of `stylegan-edge bench`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.official_sizes import Network
from benchmarks.random_checkpoint import random_checkpoint
from exporter import export, load_checkpoint
from exporter.checkpoints import write_safetensors


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--network", type=click.Choice([item.value for item in Network]), default=Network.STYLEGAN2.value)
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="256")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Measure this one instead of random weights.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(network: str, resolution: str, checkpoint: Path | None, options: tuple[str, ...]) -> None:
    """Export, and measure."""
    name = checkpoint.stem if checkpoint else f"{network}-{resolution}"
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / name
        if checkpoint is None:
            checkpoint = Path(folder) / f"{name}.safetensors"
            write_safetensors(random_checkpoint(int(resolution), Network(network)), checkpoint)
        export(load_checkpoint(checkpoint), bundle)
        command = [sys.executable, "-m", "stylegan_edge", "bench", str(bundle), "--reference", str(checkpoint)]
        code = subprocess.run([*command, *options], check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
