"""What `benchmarks.gpu` measures: official sizes with seeded random weights, and the bundled checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.official_sizes import Network
from benchmarks.random_checkpoint import random_checkpoint
from exporter.checkpoints import Checkpoint, load_checkpoint, write_safetensors
from runtime.errors import StyleganEdgeError
from runtime.manifest import MANIFEST

AVATARS = Path(__file__).parents[1] / "examples" / "avatars-64.pkl"
NETWORKS: dict[str, tuple[Network, int] | Path] = {
    "avatars-64": AVATARS,
    "stylegan2-256": (Network.STYLEGAN2, 256),
    "stylegan2-1024": (Network.STYLEGAN2, 1024),
    "stylegan3-t-256": (Network.STYLEGAN3_T, 256),
    "stylegan3-r-256": (Network.STYLEGAN3_R, 256),
    "stylegan1-1024": (Network.STYLEGAN1, 1024),
    "stylegan2-512": (Network.STYLEGAN2, 512),
}
"""By the name of the bundle, in the order in which they are made and measured: time may run out."""


def make_checkpoint(name: str) -> Checkpoint:
    """A network's checkpoint: the same weights on every machine, so that it need not be carried there."""
    source = NETWORKS[name]
    return load_checkpoint(source) if isinstance(source, Path) else random_checkpoint(source[1], source[0])


def prepare(folder: Path, names: Sequence[str]) -> list[str]:
    """Write the checkpoint and the bundle of each network that `folder` lacks; returns what failed, a line each."""
    from exporter.bundle_writer import PRECISIONS, export

    failed = []
    for name in names:
        if (folder / name / MANIFEST).is_file() and checkpoint_path(folder / name).is_file():
            click.echo(f"{name}: is there")
            continue
        try:
            checkpoint = make_checkpoint(name)
            folder.mkdir(parents=True, exist_ok=True)
            write_safetensors(checkpoint, checkpoint_path(folder / name), overwrite=True)
            bundle = export(checkpoint, folder / name, precisions=PRECISIONS, force=True)
        except StyleganEdgeError as error:
            failed.append(f"{name}: {error}")
            continue
        size = sum(info.size for info in bundle.manifest.files.values())
        click.echo(f"{name}: {size / 1e6:.0f} MB")
    return failed


def checkpoint_path(bundle: Path) -> Path:
    """Where the checkpoint of a bundle is, for the contestants in PyTorch: beside it."""
    return bundle.with_name(f"{bundle.name}.safetensors")
