"""Golden samples: inputs and the reference's outputs, by which a device proves itself without PyTorch.

Images above `WHOLE_SIDE` pixels are stored as tiles (corners and centre, where borders and seams show) and as the means
of a coarse grid of blocks, which cover every pixel. Everything is float32 as the reference computed it.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields

import numpy as np

from runtime.bundle import GOLDEN, Bundle, Shape
from runtime.errors import BundleError
from runtime.noise import Noise

WHOLE_SIDE = 128
"""Images up to this side are stored whole."""
TILE_SIDE = 64
_NOISE = re.compile(r"^(const|none|\d{1,9})$")
BLOCKS = 8
"""Blocks a side of the coarse grid."""


@dataclass(frozen=True)
class GoldenSamples:
    """M mapping samples and T images.

    Mapping: `z` [M, z_dim], `c` [M, c_dim] (c_dim may be 0), `w` [M, w_dim]. Synthesis: `styles` [T, K, w_dim],
    `noise` [T] ("const", "none" or a seed, as text), `tiles` [T, P, C, h, w], `blocks` [T, C, B, B]. `first` [T] is
    the row of `z` that an image begins with, `psi` [T] its truncation, `transform` [T, 3, 3] its motion, and
    `mixed` [T] whether its rows come from more latents than the pipeline graph would use.
    """

    z: np.ndarray
    c: np.ndarray
    w: np.ndarray
    styles: np.ndarray
    noise: np.ndarray
    psi: np.ndarray
    first: np.ndarray
    mixed: np.ndarray
    transform: np.ndarray
    tiles: np.ndarray
    blocks: np.ndarray

    def noise_of(self, index: int) -> Noise:
        """The noise argument of an image."""
        text = str(self.noise[index])
        return text if text in ("const", "none") else int(text)

    def head(self, images: int) -> GoldenSamples:
        """Only the first `images` images, and the mapping samples that they are made of."""
        rows = len(self.z) // len(self.first) * images
        mapping = {name: getattr(self, name)[:rows] for name in ("z", "c", "w")}
        names = ("styles", "noise", "psi", "first", "mixed", "transform", "tiles", "blocks")
        return GoldenSamples(**mapping, **{name: getattr(self, name)[:images] for name in names})

    def to_bytes(self) -> bytes:
        """As an `.npz` file; the same arrays give the same bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @classmethod
    def read(cls, bundle: Bundle) -> GoldenSamples:
        """The samples of a bundle. Raises BundleError where they don't fit its specification."""
        spec, sources = bundle.spec, len(bundle.manifest.options.sources)
        tile = min(spec.resolution, TILE_SIDE) if spec.resolution > WHOLE_SIDE else spec.resolution
        blocks = min(BLOCKS, spec.resolution)
        shapes: dict[str, Shape] = {
            "z": (None, spec.z_dim),
            "c": (None, spec.c_dim),
            "w": (None, spec.w_dim),
            "styles": (None, sources, spec.w_dim),
            "noise": (None,),
            "psi": (None,),
            "first": (None,),
            "mixed": (None,),
            "transform": (None, 3, 3),
            "tiles": (None, len(tile_origins(spec.resolution)), spec.img_channels, tile, tile),
            "blocks": (None, spec.img_channels, blocks, blocks),
        }
        samples = cls(**bundle.read_arrays(GOLDEN, shapes))
        samples._check(str(bundle.path / GOLDEN), bundle.manifest.options.latents_per_image)
        return samples

    def _check(self, where: str, sources: int) -> None:
        latents, images = len(self.z), len(self.styles)
        per_image = (self.noise, self.psi, self.first, self.mixed, self.transform, self.tiles, self.blocks)
        same = all(len(array) == images for array in per_image)
        if not (latents and images and same and len(self.c) == len(self.w) == latents):
            raise BundleError(f"{where}: its arrays differ in length or are empty; export the bundle again")
        if self.first.dtype.kind != "i" or self.first.min() < 0 or self.first.max() + sources > latents:
            raise BundleError(f"{where}: its images begin outside its latents; export the bundle again")
        if self.mixed.dtype.kind != "b" or not all(_NOISE.match(str(text)) for text in self.noise):
            raise BundleError(f"{where}: its noise is not const, none or a seed; export the bundle again")


def tile_origins(side: int) -> list[tuple[int, int]]:
    """Top-left corners (y, x) of the tiles kept of an image of `side` pixels."""
    if side <= WHOLE_SIDE:
        return [(0, 0)]
    far, middle = side - TILE_SIDE, (side - TILE_SIDE) // 2
    return [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]


def cut_tiles(image: np.ndarray) -> np.ndarray:
    """image [N, C, H, W] -> [N, P, C, h, w]."""
    side = image.shape[-1]
    size = side if side <= WHOLE_SIDE else TILE_SIDE
    return np.stack([image[:, :, y : y + size, x : x + size] for y, x in tile_origins(side)], axis=1)


def block_means(image: np.ndarray) -> np.ndarray:
    """image [N, C, H, W] -> float32 [N, C, B, B]: means over a grid of blocks that covers every pixel."""
    side = image.shape[-1]
    blocks = min(BLOCKS, side)
    edges = np.arange(blocks + 1) * side // blocks  # blocks differ by a pixel where the side is no multiple
    sums = np.add.reduceat(np.add.reduceat(image, edges[:-1], axis=2, dtype=np.float64), edges[:-1], axis=3)
    sizes = np.diff(edges)
    return (sums / np.outer(sizes, sizes)).astype(np.float32)
