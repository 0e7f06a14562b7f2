"""How two sets of images are compared, and how far apart they may be. The one place for tolerances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

PIXEL_SCALE = 127.5
PIXEL_OFFSET = 128.0
"""`pixels` is `image * 127.5 + 128`, clipped and truncated: what the official scripts write."""


@dataclass(frozen=True)
class Tolerance:
    """What is allowed between a reference and what is measured against it."""

    max_relative: float
    """Largest |d|, relative to the reference's own range (its maximum minus its minimum)."""
    level_fraction: float
    """Share of 8-bit values that may differ at all, of images within [-1, 1]; see NOMINAL_RMS."""
    levels_max: int
    """Largest difference of one 8-bit value."""
    psnr_min: float = 0.0
    """Least ratio of the reference's own range to the root mean square of the difference, in dB."""
    exact: bool = True
    """Whether the arithmetic is the reference's own. Where it is not, every level may be off, in proportion to what the
    images hold; see NOMINAL_RMS."""


FLOAT32 = Tolerance(max_relative=1e-4, level_fraction=1e-4, levels_max=1)
"""Float32 graphs against the float32 reference: rounding of sums over up to 4608 terms, 20 layers deep, measured at
2e-6 of the range on official-size networks. A value that lies within that of a whole level may truncate to either side:
so do 3 to 8 in 100,000, most of them by the reference's own rounding."""

ENOUGH_VALUES = 1 << 19
"""8-bit values from which on a share is judged as it is. Values near a whole level are rare and fall at random, so that
among fewer a share of 1 in 10,000 can't be told from twice that."""
NOMINAL_RMS = 1.0
"""The largest root mean square that images within [-1, 1] can have. Float32 rounds in proportion to what it holds, and
a level is a fixed step: a network whose images reach r times as far has r times as many values that rounding moves
across one. So the share allowed grows with the reference's own root mean square above this."""
MANY = 500
"""Values expected to differ from which on chance matters no more than for `ENOUGH_VALUES`; the terms of the sum below
would vanish from 745 on."""
CONFIDENCE = 0.999
"""Among fewer values, the count allowed is what a true share at the tolerance stays within with this probability."""

FLOAT16 = Tolerance(max_relative=2e-2, level_fraction=1.0, levels_max=4, psnr_min=50.0, exact=False)
"""Float16 convolutions against the float32 reference: 11 bits a value, 20 layers deep. Measured at 62 to 83 dB and 1 or
2 levels. The limits are what the project promises; what is far from them is a defect, or a network that overflows."""

BFLOAT16 = Tolerance(max_relative=8e-2, level_fraction=1.0, levels_max=16, psnr_min=40.0, exact=False)
"""Bfloat16 against the float32 reference: 8 bits a value instead of float16's 11, so an error eight times as large, or
18 dB. OpenVINO's, of whole networks on a CPU that has it, was measured at 49 to 52 dB, where the root mean square is
0.6 to 0.9 levels. The limits are 9 dB below that, four times float16's levels and four times its share of the range."""

EIGHT_BITS = Tolerance(max_relative=1.0, level_fraction=1.0, levels_max=255, psnr_min=35.0, exact=False)
"""Int8 convolutions against the float32 reference: a step of 1/127 of the largest value a layer was calibrated with.
Measured at 41.9 dB on the bundled checkpoint. Only the PSNR is a promise: a value beyond what was calibrated is cut
off, so that single ones were 61 levels off there where the mean was 2.2; the other limits are all that there can be."""

FLOAT8 = Tolerance(max_relative=1.0, level_fraction=1.0, levels_max=255, psnr_min=30.0, exact=False)
"""Float8 (e4m3) convolutions against the float32 reference. Three bits behind the leading one round a value by up to a
sixteenth, where int8's seven round the largest by a 254th. Measured at 35.0 dB on the bundled checkpoint, with single
values 112 levels off: 30 dB is what three bits give. The other limits are as above."""

FP32, FP16, BF16, INT8, FP8 = "fp32", "fp16", "bf16", "int8", "fp8"
TOLERANCES = {FP32: FLOAT32, FP16: FLOAT16, BF16: BFLOAT16, INT8: EIGHT_BITS, FP8: FLOAT8}
"""By precision."""


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


def allowed_share(share: float, count: int) -> float:
    """`share` itself for many values; for few, the Poisson bound that a true share of it stays within."""
    mean = share * count
    if count == 0 or count >= ENOUGH_VALUES or mean >= MANY:
        return min(share, 1.0)
    term = total = math.exp(-mean)
    bound = 0
    while total < CONFIDENCE:
        bound += 1
        term *= mean / bound
        total += term
    return min(1.0, max(share, bound / count))


def to_pixels(image: np.ndarray) -> np.ndarray:
    """Float image [N, C, H, W] -> uint8 [N, H, W, C], in float32 arithmetic and truncated, as the graphs do it."""
    scaled = image.astype(np.float32, copy=False).transpose(0, 2, 3, 1) * np.float32(PIXEL_SCALE)
    levels = (scaled + np.float32(PIXEL_OFFSET)).clip(0, 255)
    return np.nan_to_num(levels, copy=False, nan=0).astype(np.uint8)  # a cast of NaN is undefined


def all_passed(figures: Iterable[Figures]) -> bool:
    """Whether every comparison is within its tolerance."""
    return all(item.passed for item in figures)
