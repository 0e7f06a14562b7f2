"""Tiny generators with seeded random weights, for tests that need one of a certain kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.official_sizes import stylegan3_spec
from benchmarks.random_checkpoint import random_weights
from exporter.checkpoints import Checkpoint, SourceFormat
from exporter.checkpoints.layout import expected_shapes
from runtime.spec import (
    Architecture,
    EqualizedRates,
    Generation,
    GeneratorSpec,
    LabelInput,
    MappingSpec,
    StyleGAN1Spec,
    StyleGAN2Spec,
    StyleGAN3Spec,
    Truncation,
)

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


def tiny_stylegan1_spec(
    channels: tuple[int, ...] = (6, 5, 4),
    img_channels: int = 3,
    c_dim: int = 0,
    lod: float = 0.0,
    blur_filter: tuple[float, ...] = (0.25, 0.5, 0.25),
    bias_before_blur: bool = False,
    noise_per_block: bool = False,
    use_noise: bool = True,
    rgb_everywhere: bool = True,
    noise_rate: float | None = None,
) -> GeneratorSpec:
    """A 16 px StyleGAN unless `channels` says otherwise, with NVIDIA's conventions unless told otherwise."""
    return GeneratorSpec(
        generation=Generation.STYLEGAN1,
        img_channels=img_channels,
        mapping=MappingSpec(
            7, 9, c_dim, (8, 9), 5 if c_dim else 0, 0.01, LabelInput.CONCAT, weight_gain=2**0.5, activation_gain=1.0
        ),
        synthesis=StyleGAN1Spec(
            channels=channels,
            blur_filter=blur_filter,
            norm_epsilon=1e-8,
            rates=EqualizedRates(conv=2**0.5, style=1.0, rgb=1.0, noise=noise_rate),
            style_offset=1.0,
            bias_before_blur=bias_before_blur,
            noise_per_block=noise_per_block,
            rgb_everywhere=rgb_everywhere,
            use_noise=use_noise,
            lod=lod,
        ),
        truncation=Truncation(psi=0.7, cutoff=2),
    )


def tiny_stylegan3_spec(
    radial: bool = False,
    resolution: int = 16,
    c_dim: int = 0,
    conv_clamp: float | None = 256.0,
    img_channels: int = 3,
    channels: tuple[int, int] = (64, 6),
) -> GeneratorSpec:
    """A StyleGAN3 of four layers and toRGB; configuration T, or R where `radial`. `channels`: base and largest."""
    mapping = MappingSpec(7, 9, c_dim, (8, 9), 5 if c_dim else 0, 0.01)
    spec = stylegan3_spec(
        resolution, radial, num_layers=4, channels=channels, margin=4, mapping=mapping, img_channels=img_channels
    )
    assert isinstance(spec.synthesis, StyleGAN3Spec)
    return replace(spec, synthesis=replace(spec.synthesis, conv_clamp=conv_clamp))


def tiny_checkpoint(spec: GeneratorSpec | None = None, seed: int = 1, **options: object) -> Checkpoint:
    """Every tensor non-trivial; images of about the scale that trained networks make."""
    spec = spec or tiny_spec(**options)  # type: ignore[arg-type]
    random = np.random.RandomState(seed)
    if spec.generation is Generation.STYLEGAN3:
        weights = random_weights(spec, seed)
        weights["synthesis.input.affine.weight"] += random.randn(4, spec.w_dim).astype(np.float32)
        return Checkpoint(spec, weights, SourceFormat.SAFETENSORS, "tiny", "0" * 64)
    weights = {}
    for name, shape in expected_shapes(spec).items():
        scale = 100.0 if name.startswith("mapping.fc") and name.endswith("weight") else 1.0
        scale = 0.3 if "torgb" in name or name.endswith((".bias", "noise_strength", "w_avg")) else scale
        weights[name] = np.asarray(random.randn(*shape) * scale, np.float32)
    return Checkpoint(spec, weights, SourceFormat.SAFETENSORS, "tiny", "0" * 64)
