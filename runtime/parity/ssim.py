"""Structural similarity of 8-bit pictures, the SSIM of Wang, Bovik, Sheikh and Simoncelli (IEEE TIP 13(4), 2004)."""

from __future__ import annotations

import numpy as np

from runtime.parity.levels import PEAK

WINDOW = 11
"""Side of the Gaussian window in pixels (section III.C of the paper)."""
SIGMA = 1.5
"""Standard deviation of that window in pixels (same section)."""
K1, K2 = 0.01, 0.03
"""The constants that keep the quotients defined where means or variances vanish (same section)."""
STRIP_ROWS = 32
"""Rows filtered at once: at 1024 px a strip's maps stay in a CPU's cache, which halves the time of whole images."""


def structural_similarity(reference: np.ndarray, measured: np.ndarray) -> float:
    """Mean SSIM index of two pictures uint8 [H, W, C]: over the channels, and the places that hold a whole window.

    1 where the pictures are the same, -1 at the least. Equations 13 to 17 of the paper, in float64. A picture smaller
    than the window is seen through the largest odd window that fits into it.
    """
    if reference.shape != measured.shape or reference.dtype != np.uint8 or measured.dtype != np.uint8:
        raise ValueError(f"pixels {reference.shape} and {measured.shape} can't be compared")
    height, width, channels = reference.shape
    taps = gaussian_taps(min(WINDOW, height, width))
    total = 0.0
    for channel in range(channels):
        x, y = reference[:, :, channel].astype(np.float64), measured[:, :, channel].astype(np.float64)
        for start in range(0, height - len(taps) + 1, STRIP_ROWS):
            rows = slice(start, start + STRIP_ROWS + len(taps) - 1)
            total += float(_index_map(x[rows], y[rows], taps).sum())
    return total / (channels * (height - len(taps) + 1) * (width - len(taps) + 1))


def gaussian_taps(side: int) -> np.ndarray:
    """The window's profile, float64 [`side`, or one less where that is even], summing to 1."""
    reach = (side - 1) // 2
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * SIGMA**2))
    return np.asarray(taps / taps.sum())


def _index_map(x: np.ndarray, y: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """SSIM of each window of x and y [h, w] -> [h - side + 1, w - side + 1] (equation 13)."""
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    mean_x, mean_y = _filter(x, taps), _filter(y, taps)
    means = mean_x * mean_y
    mean_squares = mean_x * mean_x + mean_y * mean_y
    covariance = _filter(x * y, taps) - means
    variances = _filter(x * x + y * y, taps) - mean_squares  # both together: the index takes their sum alone
    return (2 * means + c1) * (2 * covariance + c2) / ((mean_squares + c1) * (variances + c2))


def _filter(image: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Weighted means of all whole windows, by rows and by columns in turn."""
    return _filter_rows(_filter_rows(image, taps).T, taps).T


def _filter_rows(image: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """[h, w] -> [h - side + 1, w]."""
    rows = len(image) - len(taps) + 1
    result = taps[0] * image[:rows]
    for offset in range(1, len(taps)):
        result += taps[offset] * image[offset : offset + rows]
    return result
