"""Draw the pictures of the README from a bundle of the bundled checkpoint.

stylegan-edge demo && python docs/pictures.py demo/avatars-64 docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from runtime import Generator
from runtime.images import contact_sheet, write_png

SCALE = 2
"""The network draws 64 px; pictures are enlarged without smoothing, so that every pixel is the network's."""


def main(bundle: str, folder: str) -> None:
    """Write faces.png, mixing.png, truncation.png and noise.png."""
    generator, out = Generator.load(bundle), Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    _save(out / "faces.png", generator.generate(range(24), psi=0.8), columns=8)
    _save(
        out / "truncation.png",
        np.concatenate([generator.generate([5], psi=psi / 4) for psi in range(-4, 5)]),
        columns=9,
    )
    _save(
        out / "noise.png",
        np.concatenate([generator.generate([8], psi=0.8, noise=seed) for seed in range(9)]),
        columns=9,
    )
    _save(out / "mixing.png", _mixing(generator, rows=[1, 2, 3], columns=range(5, 12)), columns=8)


def _mixing(generator: Generator, rows: list[int], columns: range) -> np.ndarray:
    """Pose and hair (rows 0 to 3 of ws) from the column, everything else from the row."""

    def styles(seeds: list[int]) -> np.ndarray:
        return generator.truncate(generator.map(generator.latents(seeds)), 0.8)

    tops, mask = styles(list(columns)), generator.layer_mask(range(4))
    cells = [tops[:1], tops]
    for side in styles(rows):
        cells += [side[None], generator.mix([np.repeat(side[None], len(tops), axis=0), tops], mask)]
    pixels = generator.synthesize(np.concatenate(cells), output="pixels")
    pixels[0] = 255
    return pixels


def _save(path: Path, pixels: np.ndarray, columns: int) -> None:
    sheet = Image.fromarray(contact_sheet(list(pixels), columns))
    size = (sheet.width * SCALE, sheet.height * SCALE)
    write_png(path, np.asarray(sheet.resize(size, Image.Resampling.NEAREST)), overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
