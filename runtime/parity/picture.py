"""Images compared in a picture's own terms, and the worst of many kept to be looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime.parity.levels import LevelHistogram, Levels, level_differences
from runtime.parity.pixels import to_pixels
from runtime.parity.samples import Sample
from runtime.parity.ssim import structural_similarity

Distance = Callable[[np.ndarray, np.ndarray], float]
"""A perceptual distance of two images float32 [C, H, W]: see `runtime.parity.perceptual`."""


@dataclass(frozen=True)
class ImagePair:
    """One image by two: `reference` and `measured`, float32 [C, H, W]; the graph's `pixels`, uint8 [H, W, C]."""

    reference: np.ndarray
    measured: np.ndarray
    pixels: np.ndarray

    @property
    def reference_pixels(self) -> np.ndarray:
        """The reference as uint8 [H, W, C]."""
        return to_pixels(self.reference[None])[0]


@dataclass(frozen=True)
class SampleFigures:
    """How far one image is from the reference's.

    `psnr` is of the float image, over the reference's own range, as in `Figures`; `psnr_8bit` and `ssim` are of the
    8-bit picture. A ratio is None where nothing differs; `psnr` and `perceptual` are None too where the image is not
    `finite`. `perceptual` is None without a network to measure it.
    """

    levels: Levels
    psnr: float | None
    psnr_8bit: float | None
    ssim: float
    perceptual: float | None
    finite: bool


@dataclass(frozen=True)
class Drawing:
    """Which graph drew an image, at what batch size, and where in the batch."""

    graph: str
    batch: int
    position: int


@dataclass(frozen=True)
class WorstSample:
    """The image furthest from the reference's: the most levels off, then the lowest PSNR. All to draw it again."""

    precision: str
    sample: Sample
    drawing: Drawing
    figures: SampleFigures


@dataclass(frozen=True)
class PictureFigures:
    """The figures of many images in one precision.

    `levels` and `psnr_8bit` are over all values of all `drawings`: each sample by each graph at each batch size. The
    others are over the `samples`, each in the worst of its drawings; `psnr_min` is None where no image differs.
    """

    precision: str
    samples: int
    drawings: int
    levels: Levels
    psnr_8bit: float | None
    psnr_min: float | None
    ssim_mean: float
    ssim_min: float
    perceptual_mean: float | None
    perceptual_max: float | None


@dataclass(frozen=True)
class _Candidate:
    """A drawing, how bad it is (the larger, the worse), and its images."""

    badness: tuple[bool, int, float]
    sample: Sample
    drawing: Drawing
    pair: ImagePair


def sample_figures(pair: ImagePair, distance: Distance | None = None) -> SampleFigures:
    """Measure one image against the reference's."""
    histogram, reference = LevelHistogram(), pair.reference_pixels
    histogram.add(level_differences(reference, pair.pixels))
    finite = _finite(pair)
    error = _relative_error(pair) if finite else 0.0
    return SampleFigures(
        levels=histogram.levels(),
        psnr=_decibels(error),
        psnr_8bit=histogram.psnr_8bit(),
        ssim=structural_similarity(reference, pair.pixels),
        perceptual=distance(pair.reference, pair.measured) if distance is not None and finite else None,
        finite=finite,
    )


class PictureComparison:
    """Collects drawings of samples in one precision, with the images of the worst alone.

    `add` every drawing of a few samples, then `settle` them: what takes long, as SSIM and the perceptual distance, is
    measured on each sample's worst drawing.
    """

    def __init__(self, precision: str, distance: Distance | None = None) -> None:
        self._precision, self._distance = precision, distance
        self._histogram = LevelHistogram()
        self._drawings = 0
        self._open: dict[Sample, _Candidate] = {}
        self._settled: list[SampleFigures] = []
        self._worst: tuple[_Candidate, SampleFigures] | None = None

    def add(self, sample: Sample, drawing: Drawing, pair: ImagePair) -> None:
        """Take one drawing of a sample. Arrays are kept, not copied, until the sample is settled."""
        differences = level_differences(pair.reference_pixels, pair.pixels)
        self._histogram.add(differences)
        self._drawings += 1
        finite = _finite(pair)
        badness = (not finite, int(differences.max()), _relative_error(pair) if finite else 0.0)
        if sample not in self._open or badness > self._open[sample].badness:
            self._open[sample] = _Candidate(badness, sample, drawing, pair)

    def settle(self) -> None:
        """Measure the samples added since the last time, in their worst drawings, and let go of all but the worst."""
        for candidate in self._open.values():
            figures = sample_figures(candidate.pair, self._distance)
            self._settled.append(figures)
            if self._worst is None or candidate.badness > self._worst[0].badness:
                pair = candidate.pair  # views of whole batches, which are let go
                copies = ImagePair(pair.reference.copy(), pair.measured.copy(), pair.pixels.copy())
                self._worst = replace(candidate, pair=copies), figures
        self._open = {}

    @property
    def worst(self) -> WorstSample:
        """The worst sample of all that were settled: at least one."""
        candidate, figures = self._settled_worst()
        return WorstSample(self._precision, candidate.sample, candidate.drawing, figures)

    @property
    def worst_pair(self) -> ImagePair:
        """Its images."""
        return self._settled_worst()[0].pair

    def figures(self) -> PictureFigures:
        """The sum of what was settled: at least one sample."""
        ratios = [item.psnr for item in self._settled if item.psnr is not None]
        similar = [item.ssim for item in self._settled]
        distances = [item.perceptual for item in self._settled if item.perceptual is not None]
        return PictureFigures(
            precision=self._precision,
            samples=len(self._settled),
            drawings=self._drawings,
            levels=self._histogram.levels(),
            psnr_8bit=self._histogram.psnr_8bit(),
            psnr_min=min(ratios, default=None),
            ssim_mean=_mean(similar),
            ssim_min=min(similar),
            perceptual_mean=_mean(distances) if distances else None,
            perceptual_max=max(distances, default=None),
        )

    def _settled_worst(self) -> tuple[_Candidate, SampleFigures]:
        if self._worst is None:
            raise ValueError("no sample was settled, so there is no worst")
        return self._worst


def _finite(pair: ImagePair) -> bool:
    return bool(np.isfinite(pair.reference).all() and np.isfinite(pair.measured).all())


def _relative_error(pair: ImagePair) -> float:
    """Mean square of the difference, over the square of the reference's range; of two flat images, the mean square."""
    difference = np.subtract(pair.reference, pair.measured, dtype=np.float64).reshape(-1)
    spread = float(pair.reference.max()) - float(pair.reference.min())
    return float(difference @ difference) / difference.size / (spread**2 or 1.0)


def _decibels(relative_error: float) -> float | None:
    return -10 * math.log10(relative_error) if relative_error > 0 else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
