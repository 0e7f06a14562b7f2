"""What the official scripts write of an image, in their arithmetic."""

from __future__ import annotations

import numpy as np

PIXEL_SCALE = 127.5
PIXEL_OFFSET = 128.0
"""`pixels` is `image * 127.5 + 128`, clipped and truncated: what the official scripts write."""


def to_pixels(image: np.ndarray) -> np.ndarray:
    """Float image [N, C, H, W] -> uint8 [N, H, W, C], in float32 arithmetic and truncated, as the graphs do it."""
    scaled = image.astype(np.float32, copy=False).transpose(0, 2, 3, 1) * np.float32(PIXEL_SCALE)
    levels = (scaled + np.float32(PIXEL_OFFSET)).clip(0, 255)
    return np.nan_to_num(levels, copy=False, nan=0).astype(np.uint8)  # a cast of NaN is undefined
