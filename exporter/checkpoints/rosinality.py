"""rosinality's stylegan2-pytorch: state dicts, given canonical names. Everything is inferred from tensor shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.filters import shared_taps
from exporter.checkpoints.layout import to_float32
from exporter.checkpoints.pickle_machine import AllowList, Global, Instance, empty_dictionary
from exporter.checkpoints.shown import listed
from exporter.checkpoints.tensors import TORCH_GLOBALS
from runtime.errors import CheckpointError
from runtime.spec import Architecture, Generation, GeneratorSpec, MappingSpec, StyleGAN2Spec

LR_MULTIPLIER = 0.01
"""Learning-rate multiplier of the mapping network: a default of the code that no file records."""
FILTER_GAIN = 4.0
"""Stored blur and up-sampling kernels sum to the square of the up-sampling factor."""
NETWORK_KEYS = ("g_ema", "g")
"""Where a training file keeps its generator, best first: the averaged weights are the ones that people mean."""

State = Mapping[str, np.ndarray]


def _namespace(*_: Any) -> Instance:
    return Instance(Global("argparse", "Namespace"))


ALLOWED: AllowList = {
    **TORCH_GLOBALS,
    ("collections", "OrderedDict"): empty_dictionary,
    ("argparse", "Namespace"): _namespace,
}


def read_rosinality(value: Any) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """Turn what torch.save wrote into a specification, canonical weights and details. Raises CheckpointError."""
    key, state = _find_generator(value)
    spec = _spec(state)
    weights = dict(_mapping_weights(state)) | _synthesis_weights(state, spec)
    mean = value.get("latent_avg") if isinstance(value, dict) else None
    if isinstance(mean, np.ndarray):
        weights["mapping.w_avg"] = to_float32(mean.reshape(-1))
    return spec, weights, {"network": key}


def _find_generator(value: Any) -> tuple[str, State]:
    if not isinstance(value, dict):
        raise CheckpointError(
            f"the file holds a {type(value).__name__}, expected a dictionary of networks; {SUPPORTED}"
        )
    for key in NETWORK_KEYS:
        state = value.get(key)
        if isinstance(state, dict) and "input.input" in state:
            return key, _arrays(state)
    if "input.input" in value:
        return "state dict", _arrays(value)
    if "g_running" in value or any(str(key).startswith("generator.progression") for key in value):
        raise CheckpointError(f"the file is a rosinality StyleGAN (1) checkpoint, not supported yet; {SUPPORTED}")
    raise CheckpointError(f"the file has no generator: it holds {listed(value)}, expected 'g_ema'; {SUPPORTED}")


def _arrays(state: Mapping[Any, Any]) -> State:
    return {str(name): array for name, array in state.items() if isinstance(array, np.ndarray)}


def _get(state: State, name: str, dimensions: int) -> np.ndarray:
    array = state.get(name)
    if array is None or array.ndim != dimensions or array.size == 0:
        raise CheckpointError(f"the checkpoint lacks the {dimensions}-dimensional tensor {name}")
    return array


def _indices(state: State, pattern: str, first: int) -> list[int]:
    """The numbers that a kind of layer has, which must run from `first` on without a gap."""
    found = sorted({int(match[1]) for name in state if (match := re.match(pattern, name)) and len(match[1]) < 4})
    if not found or found != list(range(first, first + len(found))):
        raise CheckpointError(f"the checkpoint's layers {pattern!r} are numbered {found[:8]}, expected {first} and on")
    return found


def _spec(state: State) -> GeneratorSpec:
    styles = [_get(state, f"style.{index}.weight", 2) for index in _indices(state, r"style\.(\d+)\.weight$", first=1)]
    convs = _indices(state, r"convs\.(\d+)\.conv\.weight$", first=0)
    if len(convs) % 2:
        raise CheckpointError(f"the checkpoint has {len(convs)} convolutions above 4x4, expected pairs")
    widths = [_get(state, "conv1.conv.weight", 5).shape[1]]
    widths += [_get(state, f"convs.{index}.conv.weight", 5).shape[1] for index in convs[1::2]]
    w_dim = styles[-1].shape[0]
    return GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=_get(state, "to_rgb1.conv.weight", 5).shape[1],
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
                [array for name, array in state.items() if name.endswith((".blur.kernel", ".upsample.kernel"))],
                gain=FILTER_GAIN,
            ),
            conv_clamp=None,
            use_noise=True,
            scaled_demodulation=True,
        ),
    )


def _mapping_weights(state: State) -> dict[str, np.ndarray]:
    weights = {}
    for layer, index in enumerate(_indices(state, r"style\.(\d+)\.weight$", first=1)):
        weights[f"mapping.fc{layer}.weight"] = to_float32(_get(state, f"style.{index}.weight", 2))
        weights[f"mapping.fc{layer}.bias"] = to_float32(_get(state, f"style.{index}.bias", 1))
    return weights


def _synthesis_weights(state: State, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    weights = {"synthesis.b4.const": to_float32(_get(state, "input.input", 4)[0])}
    for layer in spec.layers:
        source, target = _source_name(layer.name, layer.resolution), f"synthesis.{layer.name}"
        weights[f"{target}.weight"] = to_float32(_get(state, f"{source}.conv.weight", 5)[0])
        weights[f"{target}.affine.weight"] = to_float32(_get(state, f"{source}.conv.modulation.weight", 2))
        weights[f"{target}.affine.bias"] = to_float32(_get(state, f"{source}.conv.modulation.bias", 1))
        if layer.noise is None:
            weights[f"{target}.bias"] = to_float32(_get(state, f"{source}.bias", 4).reshape(-1))
            continue
        weights[f"{target}.bias"] = to_float32(_get(state, f"{source}.activate.bias", 1))
        weights[f"{target}.noise_strength"] = to_float32(_get(state, f"{source}.noise.weight", 1)[0])
        weights[f"{target}.noise_const"] = to_float32(_get(state, f"noises.noise_{layer.noise}", 4)[0, 0])
    return weights


def _source_name(name: str, resolution: int) -> str:
    """rosinality's module for one of our layers: `convs` holds two a resolution from 8 up, `to_rgbs` one."""
    stage = resolution.bit_length() - 4  # 8 -> 0, 16 -> 1, ...
    if name.endswith("torgb"):
        return "to_rgb1" if resolution == 4 else f"to_rgbs.{stage}"
    return "conv1" if resolution == 4 else f"convs.{2 * stage + int(name.endswith('conv1'))}"
