"""What a comparison looks like: both pictures, their difference amplified, and a map of where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.images import ImageFolder
from runtime.parity.picture import ImagePair
from runtime.parity.pixels import PIXEL_SCALE

VIEWS = ("reference", "measured", "difference", "heat")
"""The four pictures of a comparison, by the names of their files."""
GREY = 128
"""What a difference picture shows where nothing differs."""
REACH = 127
"""Levels on either side of `GREY`."""
SHOWN = 99.9
"""Percentile of the differences that is brought into view; the few beyond it are cut off, rather than hide the rest."""
MAX_GAIN = 1 << 20
"""Gain at which half a level is a rounding error of float32 near 1: beyond it there is nothing to see."""
HEAT = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ],
    np.float64,
)
"""Nine colours of viridis, which is CC0: lighter means more, told apart by the colour-blind and in grey too."""


@dataclass(frozen=True)
class Amplified:
    """`pixels`, uint8 [H, W, 1 or 3]: grey, with `gain` times the signed difference in levels upon it."""

    pixels: np.ndarray
    gain: int


@dataclass(frozen=True)
class HeatMap:
    """`pixels`, uint8 [H, W, 3]: mean |d| over the channels, from none (dark) to `top` levels or more (yellow)."""

    pixels: np.ndarray
    top: float


@dataclass(frozen=True)
class Views:
    """The pictures of one comparison: `reference` and `measured`, uint8 [H, W, C], and their difference."""

    reference: np.ndarray
    measured: np.ndarray
    difference: Amplified
    heat: HeatMap


def views(pair: ImagePair) -> Views:
    """All of them."""
    return Views(pair.reference_pixels, pair.pixels, amplified_difference(pair), heat_map(pair))


def amplified_difference(pair: ImagePair) -> Amplified:
    """128 + gain * d, d = measured - reference in levels before they are rounded; alpha is left out.

    The gain is the largest power of two that keeps `SHOWN` percent of the values in range, `MAX_GAIN` at most.
    """
    difference = _difference(pair)
    if len(difference) == 4:
        difference = difference[:3]  # as alpha it would be a transparency
    reach = _in_view(np.abs(difference))
    gain = MAX_GAIN if reach == 0 else 1 << int(np.clip(np.floor(np.log2(REACH / reach)), 0, np.log2(MAX_GAIN)))
    shifted = np.rint(GREY + gain * difference).clip(GREY - REACH, GREY + REACH)
    return Amplified(np.ascontiguousarray(shifted.astype(np.uint8).transpose(1, 2, 0)), gain)


def heat_map(pair: ImagePair) -> HeatMap:
    """Mean over the channels, alpha among them, of |d| in levels before they are rounded, as colours."""
    heat = np.abs(_difference(pair)).mean(axis=0)
    top = _in_view(heat)
    return HeatMap(colours(heat / top if top > 0 else heat), top)


def colours(values: np.ndarray) -> np.ndarray:
    """Numbers of any shape, cut to 0 .. 1 -> uint8 [..., 3], along `HEAT`."""
    places = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(values, places, HEAT[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def view_names(prefix: str) -> list[str]:
    """The files that `write_pictures` writes."""
    return [f"{prefix}-{view}.png" for view in VIEWS]


def write_pictures(folder: ImageFolder, prefix: str, shown: Views) -> None:
    """Add the four pictures to a folder, which appear with its others or not at all: see `open_image_folder`."""
    pictures = (shown.reference, shown.measured, shown.difference.pixels, shown.heat.pixels)
    for name, pixels in zip(view_names(prefix), pictures):
        folder.add(name, pixels)


def _difference(pair: ImagePair) -> np.ndarray:
    """Signed, in levels, float64 [C, H, W]; what is NaN or infinite counts as the whole range."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference = np.subtract(pair.measured, pair.reference, dtype=np.float64) * PIXEL_SCALE
    return np.nan_to_num(difference, nan=2 * PIXEL_SCALE, posinf=2 * PIXEL_SCALE, neginf=-2 * PIXEL_SCALE)


def _in_view(differences: np.ndarray) -> float:
    """The percentile to be shown; the largest where so few values differ that it would be 0."""
    shown = float(np.percentile(differences, SHOWN))
    return shown if shown > 0 else float(differences.max())
