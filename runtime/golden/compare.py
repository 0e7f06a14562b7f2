"""A graph's images held against what is stored of the reference's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.golden.crops import block_means, cut_tiles
from runtime.parity import Comparison, to_pixels


def compare_crops(
    comparison: Comparison, tiles: np.ndarray, blocks: np.ndarray, outputs: Sequence[np.ndarray], distinct: int
) -> None:
    """Add the outputs `image` [N, C, H, W] and `pixels` [N, H, W, C] of a graph to a comparison.

    `tiles` [N, P, C, h, w] and `blocks` [N, C, B, B] are of the reference's images; `distinct` of the N are no
    repetitions.
    """
    image, pixels = outputs
    side = tiles.shape[-1]
    comparison.add(tiles, cut_tiles(image, side), distinct)
    comparison.add(blocks, block_means(image), distinct=0)
    measured = cut_tiles(pixels.transpose(0, 3, 1, 2), side)
    expected = to_pixels(tiles.reshape(-1, *tiles.shape[2:])).transpose(0, 3, 1, 2)
    comparison.add_pixels(expected.reshape(tiles.shape), measured, distinct)
