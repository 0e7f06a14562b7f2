"""Bounds on what a specification may claim, and the checks that name the field which breaks one."""

from __future__ import annotations

import math

from runtime.errors import BundleError, quoted

MAX_RESOLUTION = 4096
"""Largest side of an image in pixels: four times what any published StyleGAN has; above it a file is not believed."""
MAX_BLOCKS = 11
"""Blocks of a progressive synthesis network: one a resolution, from 4 to MAX_RESOLUTION."""
MAX_LAYERS = 64
"""Layers of a StyleGAN3 synthesis network; published ones have 15."""
MAX_MARGIN = 64
"""Pixels by which a StyleGAN3 layer may exceed the image on each side; published ones have 10."""
MAX_SAMPLING = 8
"""Largest factor of StyleGAN3's up- and down-sampling around a nonlinearity; published ones are 1, 2 and 4."""
MAX_WIDTH = 16384
"""Largest latent, label or feature width that a specification may claim; published networks stay below 2048."""
MAX_MAPPING_LAYERS = 64
"""Published mapping networks have 2 to 18 layers."""
MAX_FILTER_TAPS = 32
"""Published resampling filters have 3 or 4 taps, and StyleGAN3's have up to 24."""


def check_range(what: str, value: int, low: int, high: int) -> None:
    """Raise BundleError where `value` is outside `low` to `high`."""
    if not low <= value <= high:
        raise BundleError(f"{what} is {quoted(value)}, expected {low} to {high}")


def check_finite(what: str, value: float) -> None:
    """Raise BundleError where `value` is NaN or infinite."""
    if not math.isfinite(value):
        raise BundleError(f"{what} is {value}, expected a finite number")


def check_positive(what: str, value: float) -> None:
    """Raise BundleError where `value` is not a finite number above 0."""
    check_finite(what, value)
    if value <= 0:
        raise BundleError(f"{what} is {value}, expected a positive number")


def check_taps(what: str, taps: tuple[float, ...]) -> None:
    """Raise BundleError where a filter has too few or too many taps, or one that is not finite."""
    check_range(f"{what} taps", len(taps), 2, MAX_FILTER_TAPS)
    for tap in taps:
        check_finite(what, tap)


def check_channels(channels: tuple[int, ...]) -> None:
    """Raise BundleError where the widths of a progressive network's blocks are out of bounds."""
    check_range("synthesis blocks", len(channels), 1, MAX_BLOCKS)
    for width in channels:
        check_range("channels", width, 1, MAX_WIDTH)
