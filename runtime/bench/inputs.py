"""What contestants draw, and how their images are judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.bundle import Bundle
from runtime.golden import GoldenInputs, compare_crops
from runtime.noise import Noise, noise_arrays
from runtime.parity import Comparison, Figures


@dataclass(frozen=True)
class Inputs:
    """What is drawn: golden images that share their noise, repeated to fill the batch; so parity is of what is timed.

    `styles` [N, K, w_dim], `maps` [1, 1, H, W] a noisy layer, `transform` [N, 3, 3] for StyleGAN3, and the reference's
    own `tiles` [N, P, C, h, w] and `blocks` [N, C, B, B]. `distinct` of the N images are no repetitions.
    """

    styles: np.ndarray
    noise: Noise
    maps: list[np.ndarray]
    transform: np.ndarray | None
    tiles: np.ndarray
    blocks: np.ndarray
    distinct: int
    rounding: float

    @classmethod
    def of(cls, bundle: Bundle, batch: int) -> Inputs:
        """The inputs of a batch."""
        inputs, spec = GoldenInputs.of(bundle), bundle.spec
        golden, drawn = inputs.samples, inputs.synthesis_images
        common = max(golden.noise[drawn], key=list(golden.noise[drawn]).count)
        alike = drawn[golden.noise[drawn] == common]
        rows, noise = np.resize(alike, batch), golden.noise_of(alike[0])
        return cls(
            styles=inputs.styles(rows),
            noise=noise,
            maps=noise_arrays(spec, noise, bundle.stored_noise),
            transform=golden.transform[rows] if spec.takes_transform else None,
            tiles=golden.tiles[rows],
            blocks=golden.blocks[rows],
            distinct=min(batch, len(alike)),
            rounding=spec.synthesis.float32_rounding,
        )

    @property
    def batch(self) -> int:
        """N."""
        return len(self.styles)

    def compare(self, image: np.ndarray, pixels: np.ndarray, precision: str = "fp32") -> Figures:
        """How far a contestant's image [N, C, H, W] and pixels [N, H, W, C] are from the float32 reference."""
        comparison = Comparison("synthesis", "golden", self.batch, precision, self.rounding)
        compare_crops(comparison, self.tiles, self.blocks, (image, pixels), self.distinct)
        return comparison.figures()
