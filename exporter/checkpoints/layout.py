"""Canonical names and shapes of a generator's weights, derived from its specification alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from exporter.checkpoints.shown import shown
from runtime.errors import CheckpointError
from runtime.spec import Architecture, GeneratorSpec, LayerKind, MappingSpec

Shape = tuple[int, ...]

MEAN_W = "mapping.w_avg"
"""Canonical name of the mean of `w`, [w_dim]: the one weight that a file may lack."""


def expected_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    """Every weight of a network of this specification: name -> shape. `mapping.w_avg` may be absent from a file."""
    return {**_mapping_shapes(spec.mapping), **_synthesis_shapes(spec)}


def check_shapes(spec: GeneratorSpec, weights: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError where a weight is missing, of another shape, or not of this network."""
    expected = expected_shapes(spec)
    for name, shape in expected.items():
        if name not in weights and name != MEAN_W:
            raise CheckpointError(f"the checkpoint lacks the tensor {name} {list(shape)}")
        if name in weights and weights[name].shape != shape:
            found = list(weights[name].shape)
            raise CheckpointError(f"the tensor {name} has shape {found}, expected {list(shape)}")
    for name in weights:
        if name not in expected:
            raise CheckpointError(f"the checkpoint has a tensor {shown(name)} that no such network has")


def to_float32(array: np.ndarray) -> np.ndarray:
    """A contiguous float32 copy. Values beyond float32 become infinite, which a checkpoint then refuses."""
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def _mapping_shapes(mapping: MappingSpec) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    if mapping.c_dim:
        shapes["mapping.embed.weight"] = (mapping.embed_features, mapping.c_dim)
        shapes["mapping.embed.bias"] = (mapping.embed_features,)
    inputs = mapping.z_dim + mapping.embed_features
    for index, outputs in enumerate(mapping.features):
        shapes[f"mapping.fc{index}.weight"] = (outputs, inputs)
        shapes[f"mapping.fc{index}.bias"] = (outputs,)
        inputs = outputs
    shapes[MEAN_W] = (mapping.w_dim,)
    return shapes


def _synthesis_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    network = spec.synthesis
    shapes: dict[str, Shape] = {"synthesis.b4.const": (network.channels[0], 4, 4)}
    for layer in spec.layers:
        prefix = f"synthesis.{layer.name}"
        kernel = 3 if layer.kind is LayerKind.CONV else 1
        shapes[f"{prefix}.weight"] = (layer.out_channels, layer.in_channels, kernel, kernel)
        shapes[f"{prefix}.bias"] = (layer.out_channels,)
        shapes[f"{prefix}.affine.weight"] = (layer.in_channels, spec.w_dim)
        shapes[f"{prefix}.affine.bias"] = (layer.in_channels,)
        if layer.noise is not None:
            shapes[f"{prefix}.noise_strength"] = ()
            shapes[f"{prefix}.noise_const"] = (layer.resolution, layer.resolution)
    if network.architecture is Architecture.RESNET:
        for index in range(1, len(network.channels)):
            name = f"synthesis.b{network.resolutions[index]}.skip.weight"
            shapes[name] = (network.channels[index], network.channels[index - 1], 1, 1)
    return shapes
