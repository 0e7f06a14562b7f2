"""The bundles that the GPU checks run: a tiny generator of every kind, and the checkpoint that ships with the project.

    python -m tests.gpu.bundles FOLDER

writes them, for a GPU machine that can't export: there, the environment variable below names the folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import Bundle

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint

FOLDER = "STYLEGAN_EDGE_GPU_BUNDLES"
"""The environment variable that names a folder of bundles; where it is unset, the checks export their own."""
AVATARS = Path(__file__).parents[2] / "examples" / "avatars-64.pkl"
SECOND_SEED = 2


def _stylegan1() -> Checkpoint:
    from tests.tiny import tiny_checkpoint, tiny_stylegan1_spec

    return tiny_checkpoint(tiny_stylegan1_spec())


def _stylegan2(seed: int = 1, c_dim: int = 0) -> Checkpoint:
    from tests.tiny import tiny_checkpoint

    return tiny_checkpoint(seed=seed, c_dim=c_dim)


def _stylegan3(radial: bool) -> Checkpoint:
    from tests.tiny import tiny_checkpoint, tiny_stylegan3_spec

    return tiny_checkpoint(tiny_stylegan3_spec(radial=radial))


def _avatars() -> Checkpoint:
    from exporter.checkpoints import load_checkpoint

    return load_checkpoint(AVATARS)


NETWORKS: dict[str, Callable[[], Checkpoint]] = {
    "stylegan1": _stylegan1,
    "stylegan2": _stylegan2,
    "stylegan2-conditional": lambda: _stylegan2(c_dim=3),
    "stylegan3-r": lambda: _stylegan3(radial=True),
    "stylegan3-t": lambda: _stylegan3(radial=False),
    "avatars-64": _avatars,
}
"""What parity is checked of."""
OTHER_WEIGHTS = "stylegan2-other-weights"
"""The network `stylegan2` trained otherwise, to refit an engine with."""
CHECKPOINTS: dict[str, Callable[[], Checkpoint]] = {**NETWORKS, OTHER_WEIGHTS: lambda: _stylegan2(seed=SECOND_SEED)}


def open_or_export(name: str, folder: Path) -> Bundle:
    """A bundle of the folder that the environment names, else exported into `folder`."""
    given = os.environ.get(FOLDER)
    return Bundle(Path(given) / name) if given else write_bundle(name, folder)


def write_bundle(name: str, folder: Path) -> Bundle:
    """Export a bundle, in every precision that export has, with the one-graph form."""
    from exporter.bundle_writer import PRECISIONS, export

    return export(CHECKPOINTS[name](), folder / name, precisions=PRECISIONS, pipeline=True, force=True)


def main() -> None:
    """Write all."""
    folder = Path(sys.argv[1])
    for name in CHECKPOINTS:
        bundle = write_bundle(name, folder)
        size = sum(info.size for info in bundle.manifest.files.values())
        sys.stdout.write(f"{bundle.path} ({size / 1e6:.1f} MB)\n")


if __name__ == "__main__":
    main()
