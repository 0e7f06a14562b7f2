"""rosinality's style-based-gan-pytorch: state dicts, given canonical names.

A file always has all nine blocks, 4 to 1024 px, whatever resolution training had reached; blocks that training never
touched still hold the zeros that they began with, and are left out.
"""

from __future__ import annotations

import math

import numpy as np

from exporter.checkpoints.filters import shared_taps
from exporter.checkpoints.layout import to_float32
from exporter.checkpoints.state_dict import State
from runtime.errors import CheckpointError
from runtime.spec import MAX_BLOCKS, EqualizedRates, Generation, GeneratorSpec, MappingSpec, StyleGAN1Spec

SIGNATURE = "generator.progression.0.conv1.input"
"""A tensor that every such generator has."""
GAIN = math.sqrt(2)
"""Gain of the equalised learning rate, on every layer."""
NORM_EPSILON = 1e-5
"""Of the instance normalisation: PyTorch's default."""
FUSED_SHIFTS = 4
"""A fused up-sampling kernel is the mean of four shifted copies, where the sum would repeat pixels."""


def read_generator(state: State) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """The specification, canonical weights and details. Raises CheckpointError."""
    stored = len(state.indices("generator.progression.*.conv2.conv.weight_orig", first=0))
    if stored > MAX_BLOCKS:
        raise CheckpointError(f"the checkpoint has {stored} blocks, expected at most {MAX_BLOCKS}")
    blocks = _trained_blocks(state, stored)
    styles = state.indices("style.*.linear.weight_orig", first=1, step=2)
    layers = [state.get(f"style.{index}.linear.weight_orig", 2) for index in styles]
    widths = [_get(state, block, "conv2.conv.weight_orig", 4).shape[0] for block in range(blocks)]
    spec = GeneratorSpec(
        generation=Generation.STYLEGAN1,
        img_channels=state.get("generator.to_rgb.0.conv.weight_orig", 4).shape[0],
        mapping=MappingSpec(
            z_dim=layers[0].shape[1],
            w_dim=layers[-1].shape[0],
            c_dim=0,
            features=tuple(layer.shape[0] for layer in layers),
            embed_features=0,
            lr_multiplier=1.0,
            weight_gain=GAIN,
            activation_gain=1.0,
        ),
        synthesis=StyleGAN1Spec(
            channels=tuple(widths),
            blur_filter=_blur_filter(state, blocks),
            norm_epsilon=NORM_EPSILON,
            rates=EqualizedRates(conv=GAIN, style=GAIN, rgb=GAIN, noise=GAIN),
            style_offset=0.0,
            bias_before_blur=True,
            noise_per_block=True,
            rgb_everywhere=True,
            use_noise=True,
        ),
    )
    weights = {"synthesis.b4.const": to_float32(state.get(SIGNATURE, 4, ones=1))}
    for index, number in enumerate(styles):
        weights[f"mapping.fc{index}.weight"] = to_float32(layers[index])
        weights[f"mapping.fc{index}.bias"] = to_float32(state.get(f"style.{number}.linear.bias", 1))
    for block in range(blocks):
        weights |= _block_weights(state, block)
    trained = f"blocks up to {4 << (blocks - 1)} px of {4 << (stored - 1)}"
    return spec, weights, {"trained": trained if blocks < stored else f"all {stored} blocks"}


def _get(state: State, block: int, name: str, dimensions: int) -> np.ndarray:
    return state.get(f"generator.progression.{block}.{name}", dimensions)


def _trained_blocks(state: State, stored: int) -> int:
    """How many blocks, from 4 px up, training has touched; all where it has touched none."""
    for block in range(stored - 1, -1, -1):
        touched = (
            state.get(f"generator.to_rgb.{block}.conv.bias", 1),
            _get(state, block, "conv2.conv.bias", 1),
            _get(state, block, "noise1.weight_orig", 4),
            _get(state, block, "noise2.weight_orig", 4),
        )
        if any(array.any() for array in touched):
            return block + 1
    return stored


def _blur_filter(state: State, blocks: int) -> tuple[float, ...]:
    """The filter of every up-sampling layer: stored once a channel, beside its mirror image."""
    kernels = []
    for block in range(1, blocks):
        stored = _get(state, block, f"{'conv1.1' if _is_fused(state, block) else 'conv1.2'}.weight", 4)
        if any(not np.array_equal(kernel, stored[0]) for kernel in stored):
            raise CheckpointError(f"the blur filters of block {block} differ from channel to channel")
        kernels.append(stored[0, 0])
    return shared_taps(kernels) if kernels else (0.25, 0.5, 0.25)


def _is_fused(state: State, block: int) -> bool:
    return f"generator.progression.{block}.conv1.0.weight" in state


def _block_weights(state: State, block: int) -> dict[str, np.ndarray]:
    side = 4 << block
    weights = {
        f"synthesis.b{side}.torgb.weight": to_float32(state.get(f"generator.to_rgb.{block}.conv.weight_orig", 4)),
        f"synthesis.b{side}.torgb.bias": to_float32(state.get(f"generator.to_rgb.{block}.conv.bias", 1)),
        f"synthesis.b{side}.conv1.weight": to_float32(_get(state, block, "conv2.conv.weight_orig", 4)),
        f"synthesis.b{side}.conv1.bias": to_float32(_get(state, block, "conv2.conv.bias", 1)),
    }
    for ours, theirs in (("conv0", "1"), ("conv1", "2")):
        target = f"synthesis.b{side}.{ours}"
        weights[f"{target}.noise_weight"] = to_float32(_get(state, block, f"noise{theirs}.weight_orig", 4).reshape(-1))
        style = f"adain{theirs}.style.linear"
        weights[f"{target}.style.weight"] = to_float32(_get(state, block, f"{style}.weight_orig", 2))
        weights[f"{target}.style.bias"] = to_float32(_get(state, block, f"{style}.bias", 1))
    target = f"synthesis.b{side}.conv0"
    if block == 0:  # the constant has no bias
        weights[f"{target}.bias"] = np.zeros_like(weights["synthesis.b4.conv1.bias"])
    elif _is_fused(state, block):
        # Stored [in, out, 3, 3] for a transposed convolution, which is the plain one with the kernel mirrored.
        kernel = _get(state, block, "conv1.0.weight", 4).transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        weights[f"{target}.weight"] = to_float32(kernel / np.float32(FUSED_SHIFTS))
        weights[f"{target}.bias"] = to_float32(_get(state, block, "conv1.0.bias", 1))
    else:
        weights[f"{target}.weight"] = to_float32(_get(state, block, "conv1.1.conv.weight_orig", 4))
        weights[f"{target}.bias"] = to_float32(_get(state, block, "conv1.1.conv.bias", 1))
    return weights
