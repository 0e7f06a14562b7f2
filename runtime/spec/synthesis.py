"""What the synthesis networks of all generations have in common, as everything outside their own files sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from runtime.errors import BundleError


class LayerKind(str, Enum):
    """What a layer does."""

    INPUT = "input"
    CONV = "conv"
    TO_RGB = "torgb"


@dataclass(frozen=True)
class Layer:
    """One layer: a convolution, what makes the first features, or what makes RGB.

    `style` is the row of `ws` that it takes and `noise` the index of its noise input (None where it has none).
    `in_size` and `out_size` are the sides of what it takes and puts out, in pixels.
    """

    name: str
    kind: LayerKind
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    style: int | None
    noise: int | None

    @property
    def up(self) -> bool:
        """Whether it raises the resolution."""
        return self.out_size > self.in_size

    @property
    def values(self) -> int:
        """Values that it takes and puts out."""
        return self.in_channels * self.in_size**2 + self.out_channels * self.out_size**2


@dataclass(frozen=True)
class LayerOutput:
    """A tensor between layers: [N, channels, size, size], or [N, channels] where it has no size.

    References, graphs and reports call it by its name.
    """

    name: str
    channels: int
    size: int | None


@dataclass(frozen=True)
class LayerCost:
    """Multiply-accumulates of one layer for one image: its convolution, the filters around it, and its style.

    `weights` are the values of its convolution's kernel, `moved` those that the layer takes and puts out.
    """

    name: str
    convolution: int
    fir: int
    style: int
    weights: int
    moved: int


@dataclass(frozen=True)
class NoiseInput:
    """One noise input: the canonical name of the buffer that a checkpoint may store for it, and its side in pixels."""

    buffer: str
    size: int


class SynthesisSpec(ABC):
    """A synthesis network, without its weights."""

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Side of the image in pixels."""

    @property
    @abstractmethod
    def num_ws(self) -> int:
        """Rows of `ws`."""

    @abstractmethod
    def layers(self, img_channels: int) -> tuple[Layer, ...]:
        """All layers that an image takes, in synthesis order."""

    def outputs(self, img_channels: int) -> tuple[LayerOutput, ...]:
        """What can be compared between layers, in synthesis order: a layer's output, and what it is summed up to."""
        return tuple(LayerOutput(item.name, item.out_channels, item.out_size) for item in self.layers(img_channels))

    @abstractmethod
    def costs(self, img_channels: int, w_dim: int) -> tuple[LayerCost, ...]:
        """What each layer costs."""

    def largest_activation(self, img_channels: int) -> int:
        """Values of the largest array between two layers or inside one, for one image."""
        return max(layer.out_channels * layer.out_size**2 for layer in self.layers(img_channels))

    @abstractmethod
    def summary(self) -> dict[str, str]:
        """What sets this network apart from others of its generation, to be shown."""

    @property
    def noise_inputs(self) -> tuple[NoiseInput, ...]:
        """The noise inputs, in synthesis order."""
        return ()

    @property
    def float32_rounding(self) -> float:
        """How many times as many 8-bit values as in StyleGAN2 float32 rounding moves across a level."""
        return 1.0

    @property
    def takes_transform(self) -> bool:
        """Whether the image can be moved and turned by a matrix."""
        return False

    def at_resolution(self, resolution: int) -> SynthesisSpec:
        """The same network stopped at a lower resolution. Raises BundleError where it can't be."""
        if resolution == self.resolution:
            return self
        raise BundleError(f"resolution {resolution}: this network draws at {self.resolution} only")

    @property
    def level_of_detail(self) -> float:
        """How often the image's resolution is halved below the network's: 0 unless a network grows progressively."""
        return 0.0

    def at_lod(self, lod: float) -> SynthesisSpec:
        """The same network at another level of detail. Raises BundleError where there is none such."""
        if lod == 0:
            return self
        raise BundleError(f"level of detail {lod:g}: only StyleGAN (1) networks grow progressively; leave it out")


def progressive_resolutions(blocks: int) -> tuple[int, ...]:
    """Side of each block's output in pixels, from 4 up."""
    return tuple(4 << index for index in range(blocks))


def block_at(resolution: int, blocks: int) -> int:
    """Which block of a progressive network puts out `resolution`. Raises BundleError where none does."""
    sides = progressive_resolutions(blocks)
    if resolution not in sides:
        raise BundleError(
            f"resolution {resolution} is not one of this network's: {', '.join(str(side) for side in sides)}"
        )
    return sides.index(resolution)
