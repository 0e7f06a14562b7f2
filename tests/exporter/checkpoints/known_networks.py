"""Tiny generators with the conventions of each project, whose weights survive every change of layout exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from exporter.checkpoints import Checkpoint
from exporter.checkpoints.layout import is_optional
from runtime.spec import Architecture, EqualizedRates, GeneratorSpec, LabelInput, StyleGAN1Spec, Truncation
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec

STEP = 64
"""Weights are multiples of 1 / STEP: adding 1 to them, or multiplying them by 4, and undoing it loses nothing."""
ROOT_2 = 2**0.5


def exact_checkpoint(spec: GeneratorSpec) -> Checkpoint:
    """Random weights in steps."""
    checkpoint = tiny_checkpoint(spec)
    weights = {name: np.round(array * STEP) / np.float32(STEP) for name, array in checkpoint.weights.items()}
    return replace(checkpoint, weights=weights)


def tensorflow_stylegan1(label: LabelInput | None = None, psi: float = 0.7, **options: Any) -> GeneratorSpec:
    """As a TensorFlow pickle of StyleGAN specifies it; `label` makes it conditional."""
    spec = tiny_stylegan1_spec(c_dim=3 if label else 0, **options)
    return replace(spec, mapping=replace(spec.mapping, label=label or LabelInput.EMBED), truncation=Truncation(psi, 8))


def tensorflow_stylegan2(
    architecture: Architecture = Architecture.SKIP, label: LabelInput | None = None, **options: Any
) -> GeneratorSpec:
    """As a TensorFlow pickle of StyleGAN2 specifies it."""
    options = {"conv_clamp": None, **options}
    spec = tiny_spec(architecture, c_dim=3 if label else 0, scaled_demodulation=True, **options)
    mapping = replace(spec.mapping, label=label or LabelInput.EMBED)
    return replace(spec, mapping=mapping, truncation=Truncation(0.5, None))


def rosinality_stylegan1(**options: Any) -> GeneratorSpec:
    """As a checkpoint of style-based-gan-pytorch specifies it."""
    spec = tiny_stylegan1_spec(bias_before_blur=True, noise_per_block=True, **options)
    assert isinstance(spec.synthesis, StyleGAN1Spec)
    rates = EqualizedRates(conv=ROOT_2, style=ROOT_2, rgb=ROOT_2, noise=ROOT_2)
    return replace(
        spec,
        mapping=replace(spec.mapping, lr_multiplier=1.0, label=LabelInput.EMBED),
        synthesis=replace(spec.synthesis, rates=rates, norm_epsilon=1e-5, style_offset=0.0),
        truncation=Truncation(),
    )


def without_extras(checkpoint: Checkpoint) -> Checkpoint:
    """Without the mean of w, noise, and a bias of the constant: what rosinality's StyleGAN does not store."""
    weights = {name: array for name, array in checkpoint.weights.items() if not is_optional(name)}
    bias = "synthesis.b4.conv0.bias"
    return replace(checkpoint, weights={**weights, bias: np.zeros_like(weights[bias])})
