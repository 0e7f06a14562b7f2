"""What an image costs, counted from the specification: multiply-accumulates, and bytes moved, of every layer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from runtime.spec import GeneratorSpec, LayerCost

VALUE_BYTES = 4
"""Of a float32 value."""


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one image, and the bytes that its convolutions move."""

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
    def synthesis(self) -> int:
        """Everything but mapping."""
        return self.convolutions + self.fir + self.styles

    @property
    def total(self) -> int:
        """Everything."""
        return self.synthesis + self.mapping

    @property
    def weights(self) -> int:
        """Values of all convolution kernels."""
        return sum(layer.weights for layer in self.layers)

    @property
    def moved(self) -> int:
        """Values that each layer takes and puts out, all layers: what crosses memory where all else is fused."""
        return sum(layer.moved for layer in self.layers)

    def bytes_moved(self, batch: int, value_bytes: int = VALUE_BYTES) -> int:
        """Bytes of a batch: the kernels once, and `moved` for each image.

        No implementation moves fewer unless it fuses convolutions or keeps their results in caches; filters,
        nonlinearities and noise that are passes of their own move more.
        """
        return value_bytes * (self.weights + batch * self.moved)


def count_cost(spec: GeneratorSpec) -> Cost:
    """Count an image's multiply-accumulates."""
    mapping = spec.mapping
    fully_connected = sum(inputs * outputs for inputs, outputs in pairwise(mapping.widths))
    layers = spec.synthesis.costs(spec.img_channels, spec.w_dim)
    return Cost(layers, fully_connected + mapping.c_dim * mapping.embed_features)
