"""Canonical names and shapes of a generator's weights, derived from its specification alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from exporter.checkpoints.shown import shown
from runtime.errors import CheckpointError
from runtime.spec import (
    Architecture,
    GeneratorSpec,
    LabelInput,
    LayerKind,
    MappingSpec,
    NoiseInput,
    StyleGAN1Spec,
    StyleGAN2Spec,
    StyleGAN3Spec,
)

Shape = tuple[int, ...]

MEAN_W = "mapping.w_avg"
"""Canonical name of the mean of `w`, [w_dim]."""
STORED_TRANSFORM = "synthesis.input.transform"
"""Canonical name of a StyleGAN3 checkpoint's own transform, [3, 3]."""
MAGNITUDE_SUFFIX = ".magnitude_ema"
"""How the canonical names of StyleGAN3's mean square magnitudes end; each layer divides by its root."""
NOISE_SUFFIX = ".noise_const"
"""How the canonical names of stored noise end."""


def expected_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    """Every weight of a network of this specification: name -> shape. `is_optional` says what a file may lack."""
    return {**_mapping_shapes(spec.mapping), **_synthesis_shapes(spec)}


def is_optional(name: str) -> bool:
    """Whether a file may lack this weight, because it can be made anew: the mean of `w`, and stored noise."""
    return name == MEAN_W or name.endswith(NOISE_SUFFIX)


def check_shapes(spec: GeneratorSpec, weights: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError where a weight is missing, of another shape, or not of this network.

    Noise is stored for every layer, or for none.
    """
    expected = expected_shapes(spec)
    stores_noise = any(name.endswith(NOISE_SUFFIX) for name in weights)
    for name, shape in expected.items():
        if name not in weights and not is_optional(name):
            raise CheckpointError(f"the checkpoint lacks the tensor {name} {list(shape)}")
        if name not in weights and name.endswith(NOISE_SUFFIX) and stores_noise:
            raise CheckpointError(
                f"the checkpoint lacks the tensor {name} {list(shape)}, but has others' noise: expected all or none"
            )
        if name in weights and weights[name].shape != shape:
            found = list(weights[name].shape)
            raise CheckpointError(f"the tensor {name} has shape {found}, expected {list(shape)}")
    for name in weights:
        if name not in expected:
            raise CheckpointError(f"the checkpoint has a tensor {shown(name)} that no such network has")


def to_float32(array: np.ndarray) -> np.ndarray:
    """A contiguous float32 copy. Values beyond float32 become infinite, which a checkpoint then refuses."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def _mapping_shapes(mapping: MappingSpec) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    if mapping.c_dim:
        shapes["mapping.embed.weight"] = (mapping.embed_features, mapping.c_dim)
        if mapping.label is LabelInput.EMBED:
            shapes["mapping.embed.bias"] = (mapping.embed_features,)
    for index, (inputs, outputs) in enumerate(pairwise(mapping.widths)):
        shapes[f"mapping.fc{index}.weight"] = (outputs, inputs)
        shapes[f"mapping.fc{index}.bias"] = (outputs,)
    shapes[MEAN_W] = (mapping.w_dim,)
    return shapes


def _synthesis_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    network = spec.synthesis
    if isinstance(network, StyleGAN1Spec):
        return _stylegan1_shapes(spec, network)
    if isinstance(network, StyleGAN2Spec):
        return _stylegan2_shapes(spec, network)
    assert isinstance(network, StyleGAN3Spec)
    return _stylegan3_shapes(spec, network)


def _stylegan1_shapes(spec: GeneratorSpec, network: StyleGAN1Spec) -> dict[str, Shape]:
    """All blocks, whatever the level of detail."""
    shapes: dict[str, Shape] = {"synthesis.b4.const": (network.channels[0], 4, 4)}
    for layer in network.all_layers(spec.img_channels):
        prefix, width = f"synthesis.{layer.name}", layer.out_channels
        kernel = 1 if layer.kind is LayerKind.TO_RGB else 3
        if layer.kind is not LayerKind.INPUT:
            shapes[f"{prefix}.weight"] = (width, layer.in_channels, kernel, kernel)
        shapes[f"{prefix}.bias"] = (width,)
        if layer.style is not None:
            shapes[f"{prefix}.style.weight"] = (2 * width, spec.w_dim)
            shapes[f"{prefix}.style.bias"] = (2 * width,)
        if layer.noise is not None:
            shapes[f"{prefix}.noise_weight"] = (width,)
    return shapes | _noise_shapes(network.at_lod(0).noise_inputs)


def _stylegan2_shapes(spec: GeneratorSpec, network: StyleGAN2Spec) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {"synthesis.b4.const": (network.channels[0], 4, 4)}
    for layer in spec.layers:
        prefix = f"synthesis.{layer.name}"
        kernel = 3 if layer.kind is LayerKind.CONV else 1
        shapes[f"{prefix}.weight"] = (layer.out_channels, layer.in_channels, kernel, kernel)
        shapes[f"{prefix}.bias"] = (layer.out_channels,)
        shapes |= _affine_shapes(prefix, layer.in_channels, spec.w_dim)
        if layer.noise is not None:
            shapes[f"{prefix}.noise_strength"] = ()
    if network.architecture is Architecture.RESNET:
        for index in range(1, len(network.channels)):
            name = f"synthesis.b{network.resolutions[index]}.skip.weight"
            shapes[name] = (network.channels[index], network.channels[index - 1], 1, 1)
    return shapes | _noise_shapes(network.noise_inputs)


def _stylegan3_shapes(spec: GeneratorSpec, network: StyleGAN3Spec) -> dict[str, Shape]:
    width = network.fourier.channels
    shapes: dict[str, Shape] = {
        "synthesis.input.weight": (width, width),
        STORED_TRANSFORM: (3, 3),
        "synthesis.input.freqs": (width, 2),
        "synthesis.input.phases": (width,),
        **_affine_shapes("synthesis.input", 4, spec.w_dim),
    }
    for layer in network.filtered:
        prefix, kernel = f"synthesis.{layer.name}", network.kernel_of(layer)
        shapes[f"{prefix}.weight"] = (layer.out_channels, layer.in_channels, kernel, kernel)
        shapes[f"{prefix}.bias"] = (layer.out_channels,)
        shapes[f"{prefix}{MAGNITUDE_SUFFIX}"] = ()
        shapes |= _affine_shapes(prefix, layer.in_channels, spec.w_dim)
        if layer.up_taps > 1:
            shapes[f"{prefix}.up_filter"] = (layer.up_taps,)
        if layer.down_taps > 1:
            shapes[f"{prefix}.down_filter"] = (layer.down_taps,) * (2 if layer.radial else 1)
    return shapes


def _affine_shapes(prefix: str, features: int, w_dim: int) -> dict[str, Shape]:
    return {f"{prefix}.affine.weight": (features, w_dim), f"{prefix}.affine.bias": (features,)}


def _noise_shapes(inputs: Iterable[NoiseInput]) -> dict[str, Shape]:
    return {item.buffer: (item.size, item.size) for item in inputs}
