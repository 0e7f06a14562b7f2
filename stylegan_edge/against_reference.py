"""The checkpoint's side of `verify`: opened once, compared with the graphs of each precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.graphs import OpenGraphs
from runtime.images import ImageFolder
from runtime.parity import Figures
from runtime.parity.perceptual import PerceptualDistance
from runtime.parity.picture import PictureComparison
from runtime.parity.samples import Sample
from runtime.parity.views import Views, view_names, views, write_pictures

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint


def check_reference_given(reference: Path | None, lpips: Path | None, pictures: Path | None) -> None:
    """Raise InputError for options that stand for a comparison with the checkpoint, where none is asked for."""
    for option, value in (("--lpips", lpips), ("--pictures", pictures)):
        if value is not None and reference is None:
            raise InputError(f"{option} is of a comparison with the checkpoint; add --reference CHECKPOINT")


def read_reference(path: Path) -> Checkpoint:
    """The checkpoint. Raises MissingDependencyError without PyTorch, and what reading a checkpoint raises."""
    from runtime.extras import require

    require("torch")
    from exporter import load_checkpoint

    return load_checkpoint(path)


class AgainstReference:
    """Compares graphs with the checkpoint's images, in figures and as pictures."""

    def __init__(
        self,
        bundle: Bundle,
        checkpoint: Checkpoint,
        batches: Sequence[int],
        samples: int,
        seed: int,
        lpips: Path | None,
        threads: int | None,
    ) -> None:
        """Raises InputError for a wrong argument, network or checkpoint."""
        from exporter.verify import Reference

        self._distance = None if lpips is None else PerceptualDistance(lpips, bundle.spec.resolution, threads)
        self._reference = Reference(bundle, checkpoint, batches, samples, seed)
        self.pictures: list[PictureComparison] = []

    @property
    def plan(self) -> tuple[Sample, ...]:
        """What is drawn."""
        return self._reference.plan

    def compare(self, graphs: OpenGraphs) -> list[Figures]:
        """Figures of the graphs of one precision; `pictures` has one more comparison then."""
        comparison = PictureComparison(graphs.precision, self._distance)
        figures = self._reference.compare(graphs, comparison)
        self.pictures.append(comparison)
        return figures


def worst_prefix(precision: str) -> str:
    """What the files of a precision's worst image begin with."""
    return f"worst-{precision}"


def worst_names(precisions: Sequence[str]) -> list[str]:
    """The files that `write_worst` may write."""
    return [name for precision in precisions for name in view_names(worst_prefix(precision))]


def write_worst(folder: ImageFolder, comparisons: Sequence[PictureComparison]) -> dict[str, Views]:
    """Add the pictures of each precision's worst image to a folder, and return them."""
    shown = {item.worst.precision: views(item.worst_pair) for item in comparisons}
    for precision, pictures in shown.items():
        write_pictures(folder, worst_prefix(precision), pictures)
    return shown
