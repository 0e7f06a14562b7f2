"""Golden images to look at: what is stored of the reference's, and the same of what a graph drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.golden.crops import block_means, compose, cut_tiles
from runtime.golden.inputs import GoldenInputs
from runtime.parity import to_pixels
from runtime.parity.levels import level_differences
from runtime.parity.picture import ImagePair

Badness = tuple[bool, int, float]
"""Of a drawing, the larger the worse: whether it holds NaN, levels off, and the largest difference."""


@dataclass(frozen=True)
class GoldenDrawing:
    """A golden image's worst drawing: its number, the graph and the batch size that drew it, and both its images.

    Of an image that is not stored whole, `pair` shows the tiles in their places, and means of blocks everywhere else.
    `levels` is the largest 8-bit difference within the tiles, `finite` whether all of it is.
    """

    image: int
    graph: str
    batch: int
    levels: int
    finite: bool
    pair: ImagePair


@dataclass(frozen=True)
class _Kept:
    badness: Badness
    graph: str
    batch: int
    tiles: np.ndarray
    pixels: np.ndarray
    blocks: np.ndarray


class GoldenPictures:
    """Looks at drawings of golden images (see `runtime.verify.Look`) and keeps the worst of each."""

    def __init__(self, golden: GoldenInputs) -> None:
        self.golden = golden
        self._kept: dict[int, _Kept] = {}

    def __call__(self, graph: str, batch: int, images: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
        """Take the outputs `image` [N, C, H, W] and `pixels` [N, H, W, C] of golden images."""
        image, pixels = outputs
        side = self.golden.samples.tile
        tiles, means = cut_tiles(image, side), block_means(image)
        drawn = cut_tiles(pixels.transpose(0, 3, 1, 2), side)
        for row, number in enumerate(images):
            badness = self._badness(int(number), tiles[row], drawn[row], means[row])
            if int(number) not in self._kept or badness > self._kept[int(number)].badness:
                self._kept[int(number)] = _Kept(
                    badness, graph, batch, tiles[row].copy(), drawn[row].copy(), means[row].copy()
                )

    def worst(self, count: int) -> list[GoldenDrawing]:
        """The images furthest from what is stored, the worst first: NaN, then levels, then the largest difference."""
        ordered = sorted(self._kept.items(), key=lambda item: item[1].badness, reverse=True)
        return [self._drawing(image, kept) for image, kept in ordered[:count]]

    def _badness(self, image: int, tiles: np.ndarray, pixels: np.ndarray, blocks: np.ndarray) -> Badness:
        samples = self.golden.samples
        finite = bool(np.isfinite(tiles).all() and np.isfinite(blocks).all())
        expected = to_pixels(samples.tiles[image]).transpose(0, 3, 1, 2)
        levels = int(level_differences(expected, pixels).max())
        off = [np.abs(a - b).max() for a, b in ((tiles, samples.tiles[image]), (blocks, samples.blocks[image]))]
        return not finite, levels, float(max(off)) if finite else 0.0

    def _drawing(self, image: int, kept: _Kept) -> GoldenDrawing:
        samples, side = self.golden.samples, self.golden.bundle.spec.resolution
        reference = compose(samples.tiles[image], samples.blocks[image], side)
        measured = compose(kept.tiles, kept.blocks, side)
        around = to_pixels(kept.blocks[None])[0].transpose(2, 0, 1)
        pixels = compose(kept.pixels, around, side).transpose(1, 2, 0)
        broken, levels, _ = kept.badness
        pair = ImagePair(reference, measured, np.ascontiguousarray(pixels))
        return GoldenDrawing(image, kept.graph, kept.batch, levels, not broken, pair)
