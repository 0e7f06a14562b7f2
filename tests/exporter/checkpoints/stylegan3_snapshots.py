"""StyleGAN3 generators as NVIDIA's PyTorch code pickles them: trees of module records."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from exporter.checkpoints import Checkpoint
from runtime.spec import FilteredLayer, StyleGAN3Spec
from tests.exporter.checkpoints.numpy_pickles import array_of
from tests.exporter.checkpoints.snapshots import Call, Name, tensor_of
from tests.tiny import tiny_checkpoint, tiny_stylegan3_spec

RECONSTRUCT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
NAMES = ("L0_24_6", "L1_24_6", "L2_24_4", "L3_16_4", "L4_16_3")
"""Layers of `small_stylegan3`."""


def stylegan3_snapshot(checkpoint: Checkpoint) -> dict[str, Any]:
    """A training snapshot with this generator as G_ema."""
    spec, network = checkpoint.spec, checkpoint.spec.synthesis
    assert isinstance(network, StyleGAN3Spec)
    weights = {name: array for name, array in checkpoint.weights.items() if name.startswith("synthesis.")}
    layers = {layer.name: _layer(network, layer, weights, spec.w_dim) for layer in network.filtered}
    synthesis = _module(
        "SynthesisNetwork",
        {
            "w_dim": spec.w_dim,
            "num_ws": spec.num_ws,
            "img_resolution": spec.resolution,
            "img_channels": spec.img_channels,
            "output_scale": network.output_scale,
            "layer_names": list(layers),
        },
        modules={"input": _input(network, weights, spec.w_dim), **layers},
    )
    attributes = {name: getattr(spec, name) for name in ("z_dim", "c_dim", "w_dim", "img_channels", "num_ws")}
    generator = _module(
        "Generator",
        {**attributes, "img_resolution": spec.resolution},
        modules={"synthesis": synthesis, "mapping": _mapping(checkpoint)},
    )
    return {"G_ema": generator, "augment_pipe": None, "training_set_kwargs": {"resolution": spec.resolution}}


def small_stylegan3() -> dict[str, Any]:
    """A fresh copy of the snapshot of a 16 px generator."""
    return pickle.loads(_small_pickle())  # type: ignore[no-any-return]


@cache
def _small_pickle() -> bytes:
    return pickle.dumps(stylegan3_snapshot(tiny_checkpoint(tiny_stylegan3_spec())))


def _module(
    class_name: str,
    attributes: Mapping[str, Any],
    parameters: Mapping[str, np.ndarray] | None = None,
    buffers: Mapping[str, np.ndarray | None] | None = None,
    modules: Mapping[str, Any] | None = None,
) -> Call:
    stored = {
        name: Call(Name("torch._utils", "_rebuild_parameter"), (tensor_of(array), False, OrderedDict()))
        for name, array in (parameters or {}).items()
    }
    kept = {name: None if array is None else tensor_of(array) for name, array in (buffers or {}).items()}
    state = {"training": False, "_parameters": stored, "_buffers": kept, "_modules": dict(modules or {}), **attributes}
    record = {"type": "class", "version": 6, "module_src": "", "class_name": class_name, "state": state}
    return Call(RECONSTRUCT, (record,))


def _fully_connected(
    weights: Mapping[str, np.ndarray], prefix: str, activation: str = "linear", bias_gain: float = 1
) -> Call:
    parameters = {name: weights[f"{prefix}.{name}"] for name in ("weight", "bias")}
    return _module("FullyConnectedLayer", {"activation": activation, "bias_gain": bias_gain}, parameters)


def _mapping(checkpoint: Checkpoint) -> Call:
    mapping, weights = checkpoint.spec.mapping, checkpoint.weights
    count = len(mapping.features)
    layers: dict[str, Any] = {
        f"fc{index}": _fully_connected(weights, f"mapping.fc{index}", "lrelu", mapping.lr_multiplier)
        for index in range(count)
    }
    layers["embed"] = _fully_connected(weights, "mapping.embed") if mapping.c_dim else None
    mean = {"w_avg": weights["mapping.w_avg"]}
    return _module("MappingNetwork", {"num_layers": count}, buffers=mean, modules=layers)


def _input(network: StyleGAN3Spec, weights: Mapping[str, np.ndarray], w_dim: int) -> Call:
    fourier = network.fourier
    return _module(
        "SynthesisInput",
        {
            "w_dim": w_dim,
            "channels": fourier.channels,
            "size": _square(fourier.size),
            "sampling_rate": fourier.sampling_rate,
            "bandwidth": fourier.bandwidth,
        },
        {"weight": weights["synthesis.input.weight"]},
        {name: weights[f"synthesis.input.{name}"] for name in ("transform", "freqs", "phases")},
        {"affine": _fully_connected(weights, "synthesis.input.affine")},
    )


def _layer(network: StyleGAN3Spec, layer: FilteredLayer, weights: Mapping[str, np.ndarray], w_dim: int) -> Call:
    prefix, first_and_last = f"synthesis.{layer.name}", list(layer.padding)
    return _module(
        "SynthesisLayer",
        {
            "w_dim": w_dim,
            "is_torgb": layer is network.filtered[-1],
            "in_channels": layer.in_channels,
            "out_channels": layer.out_channels,
            "in_size": _square(layer.in_size),
            "out_size": _square(layer.out_size),
            "conv_kernel": network.kernel_of(layer),
            "conv_clamp": network.conv_clamp,
            "up_factor": layer.up,
            "down_factor": layer.down,
            "padding": first_and_last * 2,
        },
        {name: weights[f"{prefix}.{name}"] for name in ("weight", "bias")},
        {name: weights.get(f"{prefix}.{name}") for name in ("magnitude_ema", "up_filter", "down_filter")},
        {"affine": _fully_connected(weights, f"{prefix}.affine")},
    )


def _square(size: int) -> Call:
    """Width and height, as the code keeps a layer's size."""
    return array_of(np.array([size, size]))
