"""Tiny generators with seeded random weights, for tests that need one of a certain kind."""

from __future__ import annotations

import numpy as np

from exporter.checkpoints import Checkpoint, SourceFormat
from exporter.checkpoints.layout import expected_shapes
from runtime.spec import Architecture, Generation, GeneratorSpec, MappingSpec, StyleGAN2Spec

FILTER = (0.125, 0.375, 0.375, 0.125)


def tiny_spec(
    architecture: Architecture = Architecture.SKIP,
    channels: tuple[int, ...] = (6, 5, 4),
    img_channels: int = 3,
    c_dim: int = 0,
    conv_clamp: float | None = 256.0,
    resample_filter: tuple[float, ...] = FILTER,
    use_noise: bool = True,
    scaled_demodulation: bool = False,
) -> GeneratorSpec:
    """A 16 px generator unless `channels` says otherwise; z and w differ in width."""
    return GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=img_channels,
        mapping=MappingSpec(7, 9, c_dim, (8, 9), 5 if c_dim else 0, 0.01),
        synthesis=StyleGAN2Spec(architecture, channels, resample_filter, conv_clamp, use_noise, scaled_demodulation),
    )


def tiny_checkpoint(spec: GeneratorSpec | None = None, seed: int = 1, **options: object) -> Checkpoint:
    """Every tensor non-trivial; images of about the scale that trained networks make."""
    spec = spec or tiny_spec(**options)  # type: ignore[arg-type]
    random = np.random.RandomState(seed)
    weights = {}
    for name, shape in expected_shapes(spec).items():
        scale = 100.0 if name.startswith("mapping.fc") and name.endswith("weight") else 1.0
        scale = 0.3 if "torgb" in name or name.endswith((".bias", "noise_strength", "w_avg")) else scale
        weights[name] = np.asarray(random.randn(*shape) * scale, np.float32)
    return Checkpoint(spec, weights, SourceFormat.SAFETENSORS, "tiny", "0" * 64)
