"""Differences of 8-bit values, counted: what share of an image is off by how many levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEVELS = 256
"""Values of a uint8, so that a histogram of this many bins loses nothing."""
PEAK = 255
"""Range of an 8-bit picture: the peak of its signal-to-noise ratio."""


@dataclass(frozen=True)
class Levels:
    """8-bit differences |d| over all values of one image or of many.

    A percentile is exact: the least level that so many percent of the values do not exceed.
    """

    max: int
    mean: float
    p50: int
    p90: int
    p99: int
    p99_9: int


def level_differences(reference: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """|d| of two uint8 arrays of the same shape, as uint8."""
    return np.maximum(reference, measured) - np.minimum(reference, measured)


class LevelHistogram:
    """Counts 8-bit differences, image by image."""

    def __init__(self) -> None:
        self._counts = np.zeros(LEVELS, np.int64)

    def add(self, differences: np.ndarray) -> None:
        """Count uint8 differences of any shape, as `level_differences` makes them."""
        self._counts += np.bincount(differences.reshape(-1), minlength=LEVELS)

    @property
    def max(self) -> int:
        """The largest difference counted."""
        return int(np.flatnonzero(self._counts).max(initial=0))

    def levels(self) -> Levels:
        """The sum of what was counted: at least one value."""
        reached = np.cumsum(self._counts)
        count = int(reached[-1])

        def percentile(tenths: int) -> int:  # of a percent, so that no share is rounded
            return int(np.searchsorted(reached, -(-count * tenths // 1000)))

        mean = float(self._counts @ np.arange(LEVELS)) / count
        return Levels(self.max, mean, percentile(500), percentile(900), percentile(990), percentile(999))

    def psnr_8bit(self) -> float | None:
        """Peak signal-to-noise ratio of the 8-bit picture in dB, its peak 255; None where nothing differs."""
        squares = int(self._counts @ np.arange(LEVELS) ** 2)
        return 10 * math.log10(PEAK**2 * int(self._counts.sum()) / squares) if squares else None
