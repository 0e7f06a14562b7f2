"""What an image costs: multiply-accumulates of every layer, counted from the specification."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from runtime.spec import GeneratorSpec, LayerCost


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one image."""

    layers: tuple[LayerCost, ...]
    mapping: int

    @property
    def convolutions(self) -> int:
        """All convolutions: nearly all of the work."""
        return sum(layer.convolution for layer in self.layers)

    @property
    def fir(self) -> int:
        """All FIR filters."""
        return sum(layer.fir for layer in self.layers)

    @property
    def styles(self) -> int:
        """All affine layers, and demodulation."""
        return sum(layer.style for layer in self.layers)

    @property
    def total(self) -> int:
        """Everything."""
        return self.convolutions + self.fir + self.mapping + self.styles


def count_cost(spec: GeneratorSpec) -> Cost:
    """Count an image's multiply-accumulates."""
    mapping = spec.mapping
    fully_connected = sum(inputs * outputs for inputs, outputs in pairwise(mapping.widths))
    layers = spec.synthesis.costs(spec.img_channels, spec.w_dim)
    return Cost(layers, fully_connected + mapping.c_dim * mapping.embed_features)
