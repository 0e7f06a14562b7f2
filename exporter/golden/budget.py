"""How large `golden.npz` gets: under 2 MB at any resolution, by the side of its tiles."""

from __future__ import annotations

import numpy as np

from exporter.golden.labels import MAX_CLASSES
from runtime.golden.crops import blocks_of, tile_origins
from runtime.mixing import Mask
from runtime.spec import GeneratorSpec

MAX_BYTES = 2_000_000
"""Of golden.npz, for networks up to 512 wide. A device downloads it with every bundle."""
PROBE_BYTES = 400_000
"""Kept free for the values of layers."""
OVERHEAD_BYTES = 20_000
"""For the file's own structure, and what random bits may gain by being compressed."""
ARRAY_BYTES = MAX_BYTES - PROBE_BYTES - OVERHEAD_BYTES
"""For everything else, before compression, which takes some 8 % off random images."""
CLASS_BYTES = 1 << 18
"""For `w` of the classes: of 3 all 512 values, of 1000 the first 65. One would tell: a label enters mapping before its
first layer and so moves every value of `w`. Of the latents that images are made of, all values are stored."""
FLOAT_BYTES = 4
MAX_TILE = 64
"""Pixels a side of a tile: a corner of the image shows what the last layers' filters do at its borders, each a few
pixels in."""
TILE_STEP = 8
WHOLE_SIDE = 128
"""Images up to this side are stored whole; five tiles would hold more than half of them."""
MOST_IMAGES = 9
"""Images that are counted on when the number of stored ones is chosen."""


def values_of_class(w_dim: int, classes: int) -> int:
    """How many values of `w` are stored of each class."""
    return min(w_dim, CLASS_BYTES // (FLOAT_BYTES * max(classes, 1)))


def tile_side(spec: GeneratorSpec, mask: Mask, images: int) -> int:
    """Side of the tiles with which so many images fit: MAX_TILE or less; the resolution where whole images do.

    TILE_STEP where nothing fits, as in networks of far more than 512 channels.
    """
    sides = ([spec.resolution] if spec.resolution <= WHOLE_SIDE else []) + list(range(MAX_TILE, 0, -TILE_STEP))
    fitting = (side for side in sides if side <= spec.resolution and _bytes(spec, mask, images, side) <= ARRAY_BYTES)
    return next(fitting, min(TILE_STEP, spec.resolution))


def most_stored(spec: GeneratorSpec, mask: Mask) -> int:
    """How many images fit with the largest tiles that there are."""
    side = spec.resolution if spec.resolution <= WHOLE_SIDE else MAX_TILE
    counts = [count for count in range(1, MOST_IMAGES + 1) if _bytes(spec, mask, count, side) <= ARRAY_BYTES]
    return max(counts, default=1)


def _bytes(spec: GeneratorSpec, mask: Mask, images: int, side: int) -> int:
    """Bytes of the arrays but probes, before compression. One-hot labels are nothing when compressed."""
    latents = images * mask.matrix.shape[1] if not mask.is_identity else images + 2 * (spec.num_ws - 1)
    classes = min(spec.c_dim, MAX_CLASSES)
    values = latents * spec.w_dim + spec.c_dim * 2 + classes * (values_of_class(spec.w_dim, classes) + 4)
    crops = len(tile_origins(spec.resolution, side)) * side**2 + blocks_of(spec.resolution) ** 2
    return FLOAT_BYTES * int(values + images * spec.img_channels * crops + np.prod((images, spec.num_ws)))
