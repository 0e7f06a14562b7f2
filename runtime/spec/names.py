"""Names of graph inputs and of the arrays beside the graphs."""

from __future__ import annotations

TRANSFORM = "transform"
"""The transform input of StyleGAN3's graphs, and the checkpoint's own transform in `constants.npz`."""


def latent_names(count: int) -> list[str]:
    """Names of the pipeline graph's latent inputs: `z`, `z_1`, ..."""
    return ["z", *(f"z_{index}" for index in range(1, count))]


def noise_name(index: int) -> str:
    """Name of a noise input, in graphs and in `constants.npz`."""
    return f"noise_{index:02d}"
