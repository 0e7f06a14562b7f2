"""How far a layer's output is from the reference's, and how far it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.parity import BF16, FP8, FP16, FP32, INT8
from runtime.spec import LayerOutput

BORDER_SHARE = 16
"""A border is as wide as this part of the side, and a pixel at least: what filters make of zeros beyond an edge."""


@dataclass(frozen=True)
class LayerTolerance:
    """What is allowed between a layer's output and the reference's, relative to the reference's root mean square."""

    rms: float
    """Root mean square of the difference, over the whole layer."""
    channel: float
    """The same of the worst channel alone: of many, one wrong weight changes one."""
    largest: float
    """The largest difference of one value."""


LAYER_TOLERANCES = {
    FP32: LayerTolerance(rms=5e-6, channel=2e-5, largest=2e-4),
    FP16: LayerTolerance(rms=1e-2, channel=4e-2, largest=0.2),
    BF16: LayerTolerance(rms=8e-2, channel=0.3, largest=1.6),
    INT8: LayerTolerance(rms=0.4, channel=1.0, largest=10.0),
    FP8: LayerTolerance(rms=0.6, channel=1.5, largest=15.0),
}
"""By precision, from what layers of the 18 known-answer networks measure, the worst of all: see docs/parity.md.

Tighter than what is allowed of images, since a mistake that is small in its layer may be hidden by what follows, and
rounding grows little from layer to layer. Float8 and int8 round each activation by a step of its layer's range."""


PIXELS_TOLERANCE = LayerTolerance(rms=2e-3, channel=4e-3, largest=0.5)
"""Of `pixels` held against those of the same graph's own `image`, in every precision. The arithmetic is the same but
for a multiplication and an addition that may be rounded as one, which moves 1 value in 100,000 across a level. A level
is 0.8 % of the root mean square of middle grey: rounding in place of truncating moves half of all values, 5e-3."""


def allowed(precision: str, rounding: float) -> LayerTolerance:
    """What a layer is allowed; `rounding` is the specification's `float32_rounding`, by which float32's grows."""
    known = LAYER_TOLERANCES[precision]
    factor = rounding if precision == FP32 else 1.0
    return LayerTolerance(known.rms * factor, known.channel * factor, known.largest * factor)


@dataclass(frozen=True)
class LayerFigures:
    """A layer compared. Differences are relative to the reference's root mean square; `values` were compared.

    `channel` is the number of the channel that is furthest off, `channel_share` its part of all squared differences.
    `border` is the root mean square of differences on the border over that inside (None: no pixels). `reference_max` is
    the reference's largest absolute value.
    """

    layer: str
    values: int
    rms: float
    largest: float
    channel: int
    channel_rms: float
    channel_share: float
    border: float | None
    reference_max: float
    finite: bool
    allowed: LayerTolerance

    @property
    def passed(self) -> bool:
        """Whether it is within what is allowed. NaN or infinity fails."""
        return not self.failures()

    def failures(self) -> list[str]:
        """What missed, each as measured against allowed."""
        if not self.finite:
            return ["NaN or infinity in the output"]
        missed = []
        if not self.rms <= self.allowed.rms:
            missed.append(f"error {self.rms:.1e} of the root mean square, allowed {self.allowed.rms:.0e}")
        if not self.channel_rms <= self.allowed.channel:
            missed.append(f"error {self.channel_rms:.1e} in channel {self.channel}, allowed {self.allowed.channel:.0e}")
        if not self.largest <= self.allowed.largest:
            missed.append(f"one value {self.largest:.1e} off, allowed {self.allowed.largest:.0e}")
        return missed


def compare_layer(
    output: LayerOutput, reference: np.ndarray, measured: np.ndarray, border: np.ndarray, allowed: LayerTolerance
) -> LayerFigures:
    """Figures of one layer: `reference` and `measured` [N, C, P], `border` says which of the P pixels are on it."""
    if reference.shape != measured.shape:
        raise ValueError(f"{output.name}: shapes {reference.shape} and {measured.shape} can't be compared")
    finite = bool(np.isfinite(reference).all() and np.isfinite(measured).all())
    with np.errstate(invalid="ignore", over="ignore"):
        difference = measured.astype(np.float64) - reference
        scale = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64)))) or 1.0
        squares = difference**2
        channels = squares.mean(axis=(0, 2))
        total = float(channels.sum())
        worst = int(np.argmax(np.nan_to_num(channels, nan=np.inf)))
        return LayerFigures(
            layer=output.name,
            values=difference.size,
            rms=_finite(np.sqrt(channels.mean()) / scale),
            largest=_finite(np.abs(difference).max() / scale),
            channel=worst,
            channel_rms=_finite(np.sqrt(channels[worst]) / scale),
            channel_share=_finite(channels[worst] / total) if total > 0 else 0.0,
            border=_border_ratio(squares, border),
            reference_max=_finite(np.abs(reference).max()),
            finite=finite,
            allowed=allowed,
        )


def border_of(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """Which of the pixels (y, x) [P, 2] of a square are on its border: bool [P]."""
    if size is None:
        return np.zeros(len(pixels), bool)
    width = max(1, size // BORDER_SHARE)
    near: np.ndarray = (pixels < width) | (pixels >= size - width)
    return np.asarray(near.any(axis=1))


def _border_ratio(squares: np.ndarray, border: np.ndarray) -> float | None:
    if border.all() or not border.any():
        return None
    inside, outside = squares[..., ~border].mean(), squares[..., border].mean()
    return _finite(np.sqrt(outside / inside)) if inside > 0 else (np.inf if outside > 0 else 1.0)


def _finite(value: float) -> float:
    """A number that JSON has: the largest float where it is beyond all."""
    return float(np.nan_to_num(value, nan=np.finfo(np.float64).max))
