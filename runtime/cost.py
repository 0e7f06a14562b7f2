"""What an image costs: multiply-accumulates of every layer, counted from the specification."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from runtime.spec import Architecture, GeneratorSpec, LayerKind


@dataclass(frozen=True)
class LayerCost:
    """Multiply-accumulates of one layer for one image: its convolution, and the FIR filter after an up-sampling."""

    name: str
    convolution: int
    fir: int


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one image."""

    layers: tuple[LayerCost, ...]
    mapping: int
    styles: int

    @property
    def convolutions(self) -> int:
        """All convolutions: nearly all of the work."""
        return sum(layer.convolution for layer in self.layers)

    @property
    def fir(self) -> int:
        """All FIR filters."""
        return sum(layer.fir for layer in self.layers)

    @property
    def total(self) -> int:
        """Everything."""
        return self.convolutions + self.fir + self.mapping + self.styles


def count_cost(spec: GeneratorSpec) -> Cost:
    """Count an image's multiply-accumulates; an up-convolution is a transposed convolution followed by a FIR filter."""
    taps = len(spec.synthesis.resample_filter) ** 2
    layers, styles = [], 0
    for layer in spec.layers:
        kernel = 9 if layer.kind is LayerKind.CONV else 1
        inputs_side = layer.resolution // 2 if layer.up else layer.resolution
        convolution = kernel * layer.in_channels * layer.out_channels * inputs_side**2
        # A skip network's image is up-sampled before every toRGB but the first, and filtered like a layer.
        image = layer.kind is LayerKind.TO_RGB and spec.synthesis.architecture is Architecture.SKIP
        filtered = layer.up or (image and layer.resolution > 4)
        layers.append(LayerCost(layer.name, convolution, taps * layer.out_channels * layer.resolution**2 * filtered))
        demodulation = layer.in_channels * layer.out_channels if layer.kind is LayerKind.CONV else 0
        styles += spec.w_dim * layer.in_channels + demodulation
    if spec.synthesis.architecture is Architecture.RESNET:
        channels = spec.synthesis.channels
        for inputs, outputs, side in zip(channels, channels[1:], spec.synthesis.resolutions[1:]):
            layers.append(LayerCost(f"b{side}.skip", inputs * outputs * (side // 2) ** 2, taps * outputs * side**2))
    mapping = spec.mapping
    widths = (mapping.z_dim + mapping.embed_features, *mapping.features)
    fully_connected = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    return Cost(tuple(layers), fully_connected + mapping.c_dim * mapping.embed_features, styles)
