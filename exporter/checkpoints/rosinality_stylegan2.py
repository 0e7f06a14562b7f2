"""rosinality's stylegan2-pytorch: state dicts, given canonical names."""

from __future__ import annotations

import numpy as np

from exporter.checkpoints.filters import shared_taps
from exporter.checkpoints.layout import to_float32
from exporter.checkpoints.state_dict import State
from runtime.errors import CheckpointError
from runtime.spec import Architecture, Generation, GeneratorSpec, MappingSpec, StyleGAN2Spec

SIGNATURE = "input.input"
"""A tensor that every such generator has."""
LR_MULTIPLIER = 0.01
"""Learning-rate multiplier of the mapping network: a default of the code that no file records."""
FILTER_GAIN = 4.0
"""Stored blur and up-sampling kernels sum to the square of the up-sampling factor."""


def read_generator(state: State) -> tuple[GeneratorSpec, dict[str, np.ndarray]]:
    """The specification and canonical weights. Raises CheckpointError."""
    spec = _spec(state)
    return spec, _mapping_weights(state) | _synthesis_weights(state, spec)


def _spec(state: State) -> GeneratorSpec:
    styles = [state.get(f"style.{index}.weight", 2) for index in state.indices("style.*.weight", first=1)]
    convs = state.indices("convs.*.conv.weight", first=0)
    if len(convs) % 2:
        raise CheckpointError(f"the checkpoint has {len(convs)} convolutions above 4x4, expected pairs")
    widths = [state.get("conv1.conv.weight", 5).shape[1]]
    widths += [state.get(f"convs.{index}.conv.weight", 5).shape[1] for index in convs[1::2]]
    w_dim = styles[-1].shape[0]
    return GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=state.get("to_rgb1.conv.weight", 5).shape[1],
        mapping=MappingSpec(
            z_dim=styles[0].shape[1],
            w_dim=w_dim,
            c_dim=0,
            features=tuple(layer.shape[0] for layer in styles),
            embed_features=0,
            lr_multiplier=LR_MULTIPLIER,
        ),
        synthesis=StyleGAN2Spec(
            architecture=Architecture.SKIP,
            channels=tuple(widths),
            resample_filter=shared_taps(
                [array for name, array in state.arrays.items() if name.endswith((".blur.kernel", ".upsample.kernel"))],
                gain=FILTER_GAIN,
            ),
            conv_clamp=None,
            use_noise=True,
            scaled_demodulation=True,
        ),
    )


def _mapping_weights(state: State) -> dict[str, np.ndarray]:
    weights = {}
    for layer, index in enumerate(state.indices("style.*.weight", first=1)):
        weights[f"mapping.fc{layer}.weight"] = to_float32(state.get(f"style.{index}.weight", 2))
        weights[f"mapping.fc{layer}.bias"] = to_float32(state.get(f"style.{index}.bias", 1))
    return weights


def _synthesis_weights(state: State, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    weights = {"synthesis.b4.const": to_float32(state.get(SIGNATURE, 4, ones=1))}
    for layer in spec.layers:
        source, target = _source_name(layer.name, layer.out_size), f"synthesis.{layer.name}"
        weights[f"{target}.weight"] = to_float32(state.get(f"{source}.conv.weight", 5, ones=1))
        weights[f"{target}.affine.weight"] = to_float32(state.get(f"{source}.conv.modulation.weight", 2))
        weights[f"{target}.affine.bias"] = to_float32(state.get(f"{source}.conv.modulation.bias", 1))
        if layer.noise is None:
            weights[f"{target}.bias"] = to_float32(state.get(f"{source}.bias", 4).reshape(-1))
            continue
        weights[f"{target}.bias"] = to_float32(state.get(f"{source}.activate.bias", 1))
        weights[f"{target}.noise_strength"] = to_float32(state.get(f"{source}.noise.weight", 1, ones=1))
        noise = f"noises.noise_{layer.noise}"
        if noise in state:
            weights[f"{target}.noise_const"] = to_float32(state.get(noise, 4, ones=2))
    return weights


def _source_name(name: str, resolution: int) -> str:
    """rosinality's module for one of our layers: `convs` holds two a resolution from 8 up, `to_rgbs` one."""
    stage = resolution.bit_length() - 4  # 8 -> 0, 16 -> 1, ...
    if name.endswith("torgb"):
        return "to_rgb1" if resolution == 4 else f"to_rgbs.{stage}"
    return "conv1" if resolution == 4 else f"convs.{2 * stage + int(name.endswith('conv1'))}"
