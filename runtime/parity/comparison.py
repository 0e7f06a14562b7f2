"""How two sets of images are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime.parity.pixels import to_pixels
from runtime.parity.tolerance import NOMINAL_RMS, TOLERANCES, allowed_share


@dataclass(frozen=True)
class Figures:
    """What a comparison measured, and what was allowed. Levels are 8-bit; `psnr` is None where nothing differs."""

    graph: str
    precision: str
    against: str
    batch: int
    samples: int
    levels_max: int | None
    levels_mean: float | None
    level_fraction: float | None
    psnr: float | None
    max_abs: float
    max_relative: float
    cosine: float
    finite: bool
    allowed_relative: float
    allowed_fraction: float
    allowed_levels: int
    allowed_psnr: float

    @property
    def passed(self) -> bool:
        """Whether every figure is within what is allowed. NaN or infinity anywhere fails."""
        return not self.failures()

    def failures(self) -> list[str]:
        """What missed, each as measured against allowed."""
        missed = []
        if not self.finite:
            missed.append("NaN or infinity in the output")
        if not self.max_relative <= self.allowed_relative:
            missed.append(f"max |d| {self.max_relative:.1e} of the range, allowed {self.allowed_relative:.0e}")
        if self.levels_max is not None and not self.levels_max <= self.allowed_levels:
            missed.append(f"{self.levels_max} levels, allowed {self.allowed_levels}")
        if self.psnr is not None and not self.psnr >= self.allowed_psnr:
            missed.append(f"PSNR {self.psnr:.1f} dB, expected {self.allowed_psnr:.0f}")
        if self.level_fraction is not None and not self.level_fraction <= self.allowed_fraction:
            missed.append(f"{self.level_fraction:.1e} of the values differ, allowed {self.allowed_fraction:.1e}")
        return missed


class Comparison:
    """Collects arrays of one graph, part by part, and sums them up into `Figures`."""

    def __init__(self, graph: str, against: str, batch: int, precision: str = "fp32", rounding: float = 1.0) -> None:
        """`rounding` is the specification's `float32_rounding`: the share of values allowed grows with it."""
        self._graph, self._against, self._batch, self._precision = graph, against, batch, precision
        self._tolerance = TOLERANCES[precision]
        self._rounding = rounding
        self._samples = self._distinct_values = 0
        self._low, self._high = math.inf, -math.inf
        self._max = 0.0
        self._squares = self._dot = self._norm_a = self._norm_b = 0.0
        self._values = 0
        self._finite = True
        self._levels_max = self._levels_sum = self._levels_off = self._levels_count = 0

    def add(self, reference: np.ndarray, measured: np.ndarray, distinct: int | None = None) -> None:
        """Compare two arrays of the same shape: images, or any tensors.

        `distinct` says how many samples of them are not repetitions (None: all).
        """
        if reference.shape != measured.shape:
            raise ValueError(f"shapes {reference.shape} and {measured.shape} can't be compared")
        a, b = reference.astype(np.float64), measured.astype(np.float64)
        self._samples += len(a) if distinct is None else distinct
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            self._finite = False  # nothing else that could be measured would mean anything
            return
        self._low, self._high = min(self._low, float(a.min())), max(self._high, float(a.max()))
        difference = a - b
        self._max = max(self._max, float(np.abs(difference).max()))
        self._squares += float((difference**2).sum())
        self._dot += float((a * b).sum())
        self._norm_a += float((a**2).sum())
        self._norm_b += float((b**2).sum())
        self._values += a.size

    def add_images(self, reference: np.ndarray, outputs: Sequence[np.ndarray], distinct: int | None = None) -> None:
        """Compare reference images [N, C, H, W] with a graph's outputs `image` and `pixels`."""
        image, pixels = outputs
        self.add(reference, image, distinct)
        self.add_pixels(to_pixels(reference), pixels, distinct)

    def add_pixels(self, reference: np.ndarray, measured: np.ndarray, distinct: int | None = None) -> None:
        """Compare two uint8 arrays of the same shape, samples first; `distinct` as in `add`."""
        if reference.shape != measured.shape or reference.dtype != np.uint8 or measured.dtype != np.uint8:
            raise ValueError(f"pixels {reference.shape} and {measured.shape} can't be compared")
        levels = np.abs(reference.astype(np.int16) - measured.astype(np.int16))
        self._levels_max = max(self._levels_max, int(levels.max()))
        self._levels_sum += int(levels.sum())
        self._levels_off += int((levels > 0).sum())
        self._levels_count += levels.size
        self._distinct_values += levels.size * (len(levels) if distinct is None else distinct) // len(levels)

    def _allowed_fraction(self, reach: float) -> float:
        if not self._tolerance.exact:
            return self._tolerance.level_fraction
        return allowed_share(self._tolerance.level_fraction * self._rounding * reach, self._distinct_values)

    def figures(self) -> Figures:
        """The sum of everything added."""
        spread = self._high - self._low
        error = self._squares / max(self._values, 1)
        norm = math.sqrt(self._norm_a * self._norm_b)
        counted = self._levels_count
        reach = max(1.0, math.sqrt(self._norm_a / max(self._values, 1)) / NOMINAL_RMS)
        return Figures(
            graph=self._graph,
            precision=self._precision,
            against=self._against,
            batch=self._batch,
            samples=self._samples,
            levels_max=self._levels_max if counted else None,
            levels_mean=self._levels_sum / counted if counted else None,
            level_fraction=self._levels_off / counted if counted else None,
            psnr=10 * math.log10(spread**2 / error) if error > 0 and 0 < spread < math.inf else None,
            max_abs=self._max,
            max_relative=self._max / spread if 0 < spread < math.inf else self._max,
            cosine=self._dot / norm if norm > 0 else float(self._max == 0),
            finite=self._finite,
            allowed_relative=self._tolerance.max_relative,
            allowed_fraction=self._allowed_fraction(reach),
            allowed_levels=self._tolerance.levels_max * (1 if self._tolerance.exact else math.ceil(reach)),
            allowed_psnr=self._tolerance.psnr_min,
        )


def all_passed(figures: Iterable[Figures]) -> bool:
    """Whether every comparison is within its tolerance."""
    return all(item.passed for item in figures)
