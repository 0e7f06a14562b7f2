"""What a verification found, whole: what `stylegan-edge verify` prints, reports and writes as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from runtime.bench.machine import Machine
from runtime.distribution.figures import DistributionFigures, all_equal
from runtime.documents import schema_of, to_document
from runtime.layers.compare import LayerFigures
from runtime.layers.reports import LayerReport
from runtime.manifest import Provenance
from runtime.parity import Figures, all_passed
from runtime.parity.picture import PictureFigures, WorstSample

SchemaVersion = Literal[1]
SCHEMA_VERSION: SchemaVersion = 1
"""Of the JSON document: raised with every change of its fields."""
SCHEMA_ID = f"urn:stylegan-edge:verify:{SCHEMA_VERSION}"


@dataclass(frozen=True)
class Ran:
    """What drew the images of a precision."""

    precision: str
    backend: str
    device: str


@dataclass(frozen=True)
class Scales:
    """Of the pictures of a worst sample: how much their difference is amplified, and the heat map's top in levels."""

    gain: int
    heat_top: float


@dataclass(frozen=True)
class Pictures(PictureFigures):
    """Images of one precision against the reference's: their figures, and the worst of them.

    `command` draws the worst again (None: no command can); `pictures` is None where none were made of it.
    """

    worst: WorstSample
    command: str | None
    pictures: Scales | None


@dataclass(frozen=True)
class Distributions:
    """The distributions of all precisions against the reference's.

    `samples` images and `paths` paths of step `epsilon` from `seed`; `distance` says how path lengths are measured, and
    `attributes` are the files of the classifiers.
    """

    samples: int
    paths: int
    seed: int
    reference: str
    distance: str
    epsilon: float
    attributes: tuple[str, ...]
    figures: tuple[DistributionFigures, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing that could be judged differs."""
        return all_equal(self.figures)


@dataclass(frozen=True)
class Verification:
    """A bundle verified.

    `bundle` is its folder, `checkpoint` what it was made of, `files` how many files of it have the sha256 that they
    left with: all, or there is no verification. `command` does the same again; `date` is in UTC, as ISO 8601. `ran`
    says what drew in each precision, `not_checked` why another could not. `reference` is the checkpoint that PyTorch
    drew `samples` images of, from `seed` (None: only stored images were compared), and `perceptual_network` the file
    of the network of the perceptual distance. `figures` hold what was measured of each graph at each batch size and
    what is allowed, `pictures` the reference's images in the picture's own terms, `layers` each graph's layers and
    `distribution` the distributions (None: not asked for).
    """

    schema_version: SchemaVersion
    bundle: str
    checkpoint: Provenance
    files: int
    command: str
    date: str
    environment: Machine
    ran: tuple[Ran, ...]
    not_checked: dict[str, str]
    reference: str | None
    samples: int
    seed: int
    perceptual_network: str | None
    figures: tuple[Figures, ...]
    pictures: tuple[Pictures, ...]
    layers: tuple[LayerReport, ...] | None
    distribution: Distributions | None

    @property
    def alike(self) -> bool:
        """Whether all images are the right ones, and all layers."""
        return all_passed(self.figures) and all(report.passed for report in self.layers or ())

    @property
    def passed(self) -> bool:
        """Whether nothing that was checked is off."""
        return self.alike and (self.distribution is None or self.distribution.passed)

    @property
    def failures(self) -> tuple[str, ...]:
        """What is off, a line each: images first, then layers, then distributions."""
        return tuple(self._failures())

    def _failures(self) -> Iterator[str]:
        for item in self.figures:
            if not item.passed:
                missed = "; ".join(item.failures())
                yield f"{item.graph} {item.precision} against {item.against}, batch {item.batch}: {missed}"
        for report in self.layers or ():
            if report.failure is not None:
                yield f"{report.graph} {report.precision}: {report.failure}"
        for figure in self.distribution.figures if self.distribution is not None else ():
            if figure.passed is False:
                yield f"{figure.figure} {figure.precision}: {why_not_equal(figure)}"


DERIVED = {
    Verification: ("passed", "failures"),
    Figures: ("passed", "failures"),
    LayerReport: ("passed", "growth"),
    LayerFigures: ("passed", "failures"),
    Distributions: ("passed",),
}
"""What documents hold beside the fields."""


def document_of(verification: Verification) -> dict[str, Any]:
    """The JSON document."""
    document: dict[str, Any] = to_document(verification, DERIVED)
    return document


def document_schema() -> dict[str, Any]:
    """The JSON Schema of such documents."""
    return schema_of(Verification, DERIVED, SCHEMA_ID)


def why_not_equal(figure: DistributionFigures) -> str:
    """By how much a figure is off, and its note."""
    if figure.difference is None:
        return figure.note
    where = f" ({figure.note})" if figure.note else ""
    return f"off by {figure.difference:.2e}, the sampling error is {figure.sampling_error:.2e}{where}"
