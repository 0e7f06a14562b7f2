"""The StyleGAN3 synthesis network of NVIDIA's PyTorch snapshots: each layer's geometry is an attribute of its own."""

from __future__ import annotations

import numpy as np

from exporter.checkpoints.module_tree import Module, common
from exporter.checkpoints.shown import shown
from runtime.errors import CheckpointError
from runtime.spec import MAX_LAYERS, FilteredLayer, Fourier, StyleGAN3Spec


def read_synthesis(synthesis: Module) -> StyleGAN3Spec:
    """The specification of a synthesis network. Raises CheckpointError where it is not understood."""
    names = synthesis.get("layer_names", list)
    if not 2 <= len(names) <= MAX_LAYERS or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"the synthesis network has {len(names)} layers, expected the names of 2 to {MAX_LAYERS}")
    layers = [synthesis.child(name) for name in names]
    _check_to_rgb(layers)
    entry = synthesis.child("input")
    return StyleGAN3Spec(
        fourier=Fourier(
            channels=entry.get("channels", int),
            size=_side(entry, "size"),
            sampling_rate=entry.number("sampling_rate"),
            bandwidth=entry.number("bandwidth"),
        ),
        filtered=tuple(_filtered_layer(name, layer) for name, layer in zip(names, layers)),
        conv_kernel=common("conv_kernel", [layer.get("conv_kernel", int) for layer in layers[:-1]]),
        conv_clamp=common("conv_clamp", [layer.number_or_none("conv_clamp") for layer in layers]),
        output_scale=synthesis.number("output_scale"),
    )


def _check_to_rgb(layers: list[Module]) -> None:
    for layer in layers:
        if layer.get("is_torgb", bool) is not (layer is layers[-1]):
            raise CheckpointError(f"{layer} has the wrong place: the last layer makes RGB, and no other")


def _filtered_layer(name: str, layer: Module) -> FilteredLayer:
    up_filter, down_filter = _filter(layer, "up_filter", 1), _filter(layer, "down_filter", 2)
    return FilteredLayer(
        name=name,
        in_channels=layer.get("in_channels", int),
        out_channels=layer.get("out_channels", int),
        in_size=_side(layer, "in_size"),
        out_size=_side(layer, "out_size"),
        up=layer.get("up_factor", int),
        down=layer.get("down_factor", int),
        up_taps=1 if up_filter is None else len(up_filter),
        down_taps=1 if down_filter is None else len(down_filter),
        radial=down_filter is not None and down_filter.ndim == 2,
        padding=_padding(layer),
    )


def _filter(layer: Module, name: str, most: int) -> np.ndarray | None:
    """A filter of one dimension, or of up to `most` that are alike; None where the layer has none."""
    found = layer.tensors.get(name)
    if found is None or (1 <= found.ndim <= most and set(found.shape) == {len(found)}):
        return found
    square = " or a square" if most > 1 else ""
    raise CheckpointError(f"{layer} has a filter {name} of shape {list(found.shape)}, expected taps{square}")


def _side(module: Module, name: str) -> int:
    """A size stored as an array (width, height), which must be square."""
    values = module.numbers(name)
    if not 1 <= len(values) <= 2 or any(value != values[0] for value in values):
        raise CheckpointError(f"{module} has {name} = {shown(str(values[:4]))}, expected a square")
    return values[0]


def _padding(layer: Module) -> tuple[int, int]:
    """Padding of the first and the last side, alike for x and y."""
    values = layer.numbers("padding")
    if len(values) != 4 or values[:2] != values[2:]:
        raise CheckpointError(f"{layer} has padding = {shown(str(values[:8]))}, expected the same for x and y")
    return values[0], values[1]
