"""What is measured of each picture: few enough figures that their covariance means something."""

from __future__ import annotations

import numpy as np

GRID = 4
"""Blocks a side: pose, hair and background lie in different blocks of sixteen, and 16 a channel are still few."""
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def statistic_names(channels: int) -> list[str]:
    """What each component of `pixel_statistics` is."""
    colours = CHANNELS[channels]
    names = [f"{what} of {colour}" for what in ("mean", "deviation", "detail") for colour in colours]
    blocks = [f"block {y},{x}" for y in range(GRID) for x in range(GRID)]
    return names + [f"{block} of {colour}" for colour in colours for block in blocks]


def pixel_statistics(image: np.ndarray) -> np.ndarray:
    """image [N, C, H, W], H and W at least 4 -> float64 [N, C * (3 + GRID^2)], in the image's unit.

    Of each channel: the mean (a colour cast), the standard deviation (contrast), the root mean square of differences
    between neighbours ("detail": noise and filters), and the means of GRID x GRID blocks (where things are).
    """
    values = image.astype(np.float64)
    down, across = (np.diff(values, axis=axis) ** 2 for axis in (2, 3))
    detail = np.sqrt((down.mean(axis=(2, 3)) + across.mean(axis=(2, 3))) / 2)
    plain = [values.mean(axis=(2, 3)), values.std(axis=(2, 3)), detail]
    return np.concatenate([*plain, _block_means(values).reshape(len(image), -1)], axis=1)


def _block_means(values: np.ndarray) -> np.ndarray:
    """[N, C, H, W] -> [N, C, GRID, GRID]; blocks differ by a pixel where a side is no multiple of GRID."""
    rows, columns = (np.arange(GRID + 1) * side // GRID for side in values.shape[2:])
    sums = np.add.reduceat(np.add.reduceat(values, rows[:-1], axis=2), columns[:-1], axis=3)
    return sums / np.outer(np.diff(rows), np.diff(columns))
