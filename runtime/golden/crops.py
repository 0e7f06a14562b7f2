"""What is kept of a golden image: tiles where borders and seams show, and the means of small blocks everywhere.

Both are float32, since float16 would not do. Between 0.5 and 1 it rounds by up to 2^-12, which is 1.2e-4 of a range of
2 where float32 graphs are allowed 1e-4. That is 0.03 levels, and about 1 in 100 values would truncate to a neighbour
where 1 in 10,000 may. The same goes for `w`, of which all styles are made: 1.4e-4 of the range of 10,000 normal values.
"""

from __future__ import annotations

import numpy as np

BLOCKS = 64
"""Blocks a side of the coarse grid, at most. At 1024 px a block has 256 pixels: one pixel that is off by 7 levels moves
its mean by 1e-4 of the range, which is what is allowed."""
BLOCK_SIDE = 4
"""Pixels a side of a block, at least: the mean of fewer would be the image again."""


def tile_origins(side: int, tile: int) -> list[tuple[int, int]]:
    """Top-left corners (y, x) of the tiles of `tile` pixels kept of an image of `side`: corners and centre."""
    if tile == side:
        return [(0, 0)]
    far, middle = side - tile, (side - tile) // 2
    return [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]


def cut_tiles(image: np.ndarray, tile: int) -> np.ndarray:
    """image [N, C, H, W] -> [N, P, C, h, w] with h = w = `tile`; P = 1 where that is the whole image."""
    origins = tile_origins(image.shape[-1], tile)
    return np.stack([image[:, :, y : y + tile, x : x + tile] for y, x in origins], axis=1)


def blocks_of(side: int) -> int:
    """Blocks a side of the grid over an image of `side` pixels."""
    return max(1, min(BLOCKS, side // BLOCK_SIDE))


def block_means(image: np.ndarray) -> np.ndarray:
    """image [N, C, H, W] -> float32 [N, C, B, B]: means over a grid of blocks that covers every pixel."""
    side = image.shape[-1]
    edges = _edges(side, blocks_of(side))
    sums = np.add.reduceat(np.add.reduceat(image, edges[:-1], axis=2, dtype=np.float64), edges[:-1], axis=3)
    sizes = np.diff(edges)
    return (sums / np.outer(sizes, sizes)).astype(np.float32)


def compose(tiles: np.ndarray, blocks: np.ndarray, side: int) -> np.ndarray:
    """A picture of what is kept: tiles [P, C, h, w] in their places upon block means [C, B, B]; [C, side, side]."""
    block = np.repeat(np.arange(blocks.shape[-1]), np.diff(_edges(side, blocks.shape[-1])))
    image = blocks[:, block[:, None], block]
    tile = tiles.shape[-1]
    for (y, x), pixels in zip(tile_origins(side, tile), tiles):
        image[:, y : y + tile, x : x + tile] = pixels
    return image


def _edges(side: int, blocks: int) -> np.ndarray:
    """Where blocks begin, and the end: they differ by a pixel where the side is no multiple."""
    return np.arange(blocks + 1) * side // blocks
