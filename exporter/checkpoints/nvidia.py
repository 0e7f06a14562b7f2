"""NVIDIA's PyTorch snapshots: StyleGAN2-ADA, and both generators of the StyleGAN3 code.

A module's state holds every hyper-parameter as an attribute, so that the source text that the file embeds is never
needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from exporter.checkpoints import nvidia_stylegan2, nvidia_stylegan3
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.layout import check_shapes, to_float32
from exporter.checkpoints.module_tree import PERSISTENCE_VERSION, Module, common, module_tree, require_lrelu
from exporter.checkpoints.pickle_machine import Instance
from exporter.checkpoints.shown import listed, shown
from exporter.checkpoints.tensors import check_bytes
from runtime.errors import CheckpointError
from runtime.spec import MAX_MAPPING_LAYERS, Generation, GeneratorSpec, MappingSpec, SynthesisSpec

NETWORK_KEYS = ("G_ema", "G")
"""Where a training snapshot keeps its generator, best first: the averaged weights are the ones that people mean."""
DERIVED_TENSORS = frozenset({"resample_filter"})
"""Buffers that the specification holds."""


def read_snapshot(value: Mapping[Any, Any], size: int) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """The specification, weights and details of the generator in a file of `size` bytes. Raises CheckpointError."""
    key, record = _find_generator(value)
    generator = module_tree(record)
    synthesis = generator.child("synthesis")
    network: SynthesisSpec
    if "layer_names" in synthesis.attributes:
        generation, network = Generation.STYLEGAN3, nvidia_stylegan3.read_synthesis(synthesis)
    elif "block_resolutions" in synthesis.attributes:
        generation, network = Generation.STYLEGAN2, nvidia_stylegan2.read_synthesis(synthesis)
    else:
        raise CheckpointError(f"the file holds a generator of an unknown kind; {SUPPORTED}")
    spec = GeneratorSpec(
        generation=generation,
        img_channels=generator.get("img_channels", int),
        mapping=_mapping_spec(generator, generator.child("mapping")),
        synthesis=network,
    )
    _check_agreement(generator, spec)
    return spec, _weights(generator, spec, size), {"network": key, "module record version": str(PERSISTENCE_VERSION)}


def _find_generator(value: Mapping[Any, Any]) -> tuple[str, Instance]:
    for key in NETWORK_KEYS:
        record = value.get(key)
        if isinstance(record, Instance) and isinstance(record.state, dict):
            return key, record
    raise CheckpointError(f"the pickle has no generator: it holds {listed(value)}, expected 'G_ema'; {SUPPORTED}")


def _mapping_spec(generator: Module, mapping: Module) -> MappingSpec:
    count = mapping.get("num_layers", int)
    if not 1 <= count <= MAX_MAPPING_LAYERS:
        raise CheckpointError(f"the mapping network has {shown(count)} layers, expected 1 to {MAX_MAPPING_LAYERS}")
    layers = [mapping.child(f"fc{index}") for index in range(count)]
    for layer in layers:
        require_lrelu(layer)
    embed = mapping.children.get("embed")
    return MappingSpec(
        z_dim=generator.get("z_dim", int),
        w_dim=generator.get("w_dim", int),
        c_dim=generator.get("c_dim", int),
        features=tuple(layer.tensor("weight", 2).shape[0] for layer in layers),
        embed_features=embed.tensor("weight", 2).shape[0] if embed else 0,
        # A fully connected layer's bias gain is its learning-rate multiplier.
        lr_multiplier=common("bias_gain", [layer.number("bias_gain") for layer in layers]),
    )


def _weights(generator: Module, spec: GeneratorSpec, size: int) -> dict[str, np.ndarray]:
    views = {
        f"{module.path}.{name}": array
        for module in generator.walk()
        for name, array in module.tensors.items()
        if name not in DERIVED_TENSORS
    }
    check_shapes(spec, views)  # this and the next before anything is copied
    check_bytes(views.values(), size)
    return {name: to_float32(array) for name, array in views.items()}


def _check_agreement(generator: Module, spec: GeneratorSpec) -> None:
    for name in ("img_resolution", "num_ws"):
        claimed, derived = generator.get(name, int), getattr(spec, name.replace("img_", ""))
        if claimed != derived:
            raise CheckpointError(f"the generator says {name} = {shown(claimed)}, but its layers say {derived}")
