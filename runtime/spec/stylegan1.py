"""StyleGAN synthesis (arXiv 1812.04948), with the conventions in which its implementations differ."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from runtime.errors import BundleError
from runtime.spec.bounds import check_channels, check_finite, check_positive, check_taps
from runtime.spec.synthesis import (
    Layer,
    LayerCost,
    LayerKind,
    NoiseInput,
    SynthesisSpec,
    block_at,
    progressive_resolutions,
)


@dataclass(frozen=True)
class EqualizedRates:
    """Gains of the equalised learning rate (arXiv 1710.10196, section 4.1).

    A stored weight acts times gain / sqrt(fan_in). `noise` is None where noise weights act as they are stored; their
    fan-in is the layer's width.
    """

    conv: float
    style: float
    rgb: float
    noise: float | None

    def __post_init__(self) -> None:
        for name in ("conv", "style", "rgb", "noise"):
            if getattr(self, name) is not None:
                check_positive(f"gain of {name}", getattr(self, name))


@dataclass(frozen=True)
class StyleGAN1Spec(SynthesisSpec):
    """A StyleGAN synthesis network.

    `channels[i]` is the width of the block at 4 * 2**i pixels. `blur_filter` holds the one-dimensional taps that follow
    an up-sampling convolution, normalised to sum 1. `norm_epsilon` stands under the square root of the instance
    normalisation. A style multiplies by `style_offset` + its first half and adds its second. `bias_before_blur` says
    whether an up-sampling layer's bias comes before the blur, or after blur and noise; `noise_per_block` whether a
    block's two layers share one noise map; `rgb_everywhere` whether every resolution has a toRGB, or the last alone.

    `lod` is the level of detail: 0 draws at full resolution, k at 1/2**k of it, and between two whole numbers the
    images of both are blended. What is drawn is repeated up to full resolution.
    """

    channels: tuple[int, ...]
    blur_filter: tuple[float, ...]
    norm_epsilon: float
    rates: EqualizedRates
    style_offset: float
    bias_before_blur: bool
    noise_per_block: bool
    rgb_everywhere: bool
    use_noise: bool
    lod: float = 0.0

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_taps("blur filter", self.blur_filter)
        check_positive("norm_epsilon", self.norm_epsilon)
        check_finite("style_offset", self.style_offset)
        if not 0 <= self.lod <= self.max_lod:
            raise BundleError(f"level of detail is {self.lod:g}, expected 0 to {self.max_lod}")
        if self.lod and not self.rgb_everywhere:
            raise BundleError(
                f"level of detail is {self.lod:g}, but this network makes RGB only at its last resolution: expected 0"
            )

    @property
    def resolution(self) -> int:
        """Side of the image in pixels, whatever the level of detail."""
        return self.resolutions[-1]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Side of each block's output in pixels, from 4 up."""
        return progressive_resolutions(len(self.channels))

    @property
    def num_ws(self) -> int:
        """Rows of `ws`: two a resolution, used or not."""
        return 2 * len(self.channels)

    @property
    def max_lod(self) -> int:
        """The level of detail that draws 4 x 4 pixels."""
        return len(self.channels) - 1

    @property
    def drawn_blocks(self) -> int:
        """How many blocks, from 4 px up, an image takes at this level of detail."""
        return len(self.channels) - math.floor(self.lod)

    @property
    def fade(self) -> float:
        """How much of the image comes from the resolution below the highest drawn: 0 to 1."""
        return self.lod - math.floor(self.lod)

    def all_layers(self, img_channels: int) -> tuple[Layer, ...]:
        """Every layer that a checkpoint stores, in synthesis order."""
        layers: list[Layer] = []
        for index, (side, width) in enumerate(zip(self.resolutions, self.channels)):
            inputs, in_size = (self.channels[index - 1], side // 2) if index else (width, side)
            kind = LayerKind.CONV if index else LayerKind.INPUT
            for row, name, kind_, in_channels, size in (
                (2 * index, "conv0", kind, inputs, in_size),
                (2 * index + 1, "conv1", LayerKind.CONV, width, side),
            ):
                noise = (index if self.noise_per_block else row) if self.use_noise else None
                layers.append(Layer(f"b{side}.{name}", kind_, in_channels, width, size, side, row, noise))
            if self.rgb_everywhere or index == self.max_lod:
                layers.append(Layer(f"b{side}.torgb", LayerKind.TO_RGB, width, img_channels, side, side, None, None))
        return tuple(layers)

    def layers(self, img_channels: int) -> tuple[Layer, ...]:
        """The layers that an image takes at this level of detail."""
        highest = self.resolutions[self.drawn_blocks - 1]
        lowest_rgb = highest // 2 if self.fade else highest
        return tuple(
            layer
            for layer in self.all_layers(img_channels)
            if layer.out_size <= highest and (layer.kind is not LayerKind.TO_RGB or layer.out_size >= lowest_rgb)
        )

    @property
    def noise_inputs(self) -> tuple[NoiseInput, ...]:
        """One a layer, or one a block."""
        if not self.use_noise:
            return ()
        sides = self.resolutions[: self.drawn_blocks]
        if self.noise_per_block:
            return tuple(NoiseInput(f"synthesis.b{side}.noise_const", side) for side in sides)
        names = (("conv0", side) for side in sides), (("conv1", side) for side in sides)
        return tuple(
            NoiseInput(f"synthesis.b{side}.{name}.noise_const", side) for pair in zip(*names) for name, side in pair
        )

    def costs(self, img_channels: int, w_dim: int) -> tuple[LayerCost, ...]:
        """An up-sampling convolution is one transposed 4x4 convolution of stride 2, then the blur."""
        blur = len(self.blur_filter) ** 2
        costs = []
        for layer in self.layers(img_channels):
            taps = {LayerKind.INPUT: 0, LayerKind.TO_RGB: 1}.get(layer.kind, 16 if layer.up else 9)
            weights = taps * layer.in_channels * layer.out_channels
            fir = blur * layer.out_channels * layer.out_size**2 * layer.up
            style = 0 if layer.style is None else 2 * w_dim * layer.out_channels
            moved = layer.values if weights else 0
            costs.append(LayerCost(layer.name, weights * layer.in_size**2, fir, style, weights, moved))
        return tuple(costs)

    def summary(self) -> dict[str, str]:
        """Level of detail, and where noise and bias stand."""
        drawn = self.resolutions[self.drawn_blocks - 1]
        after = "after the noise" if self.use_noise else "after the blur"
        return {
            "level of detail": f"{self.lod:g} of 0 to {self.max_lod if self.rgb_everywhere else 0}"
            + (f": drawn at {drawn} px" if self.lod else ""),
            "noise maps": self._noise_maps(),
            "bias": "before the blur" if self.bias_before_blur else after,
        }

    def _noise_maps(self) -> str:
        if not self.use_noise:
            return "none"
        return "one a resolution" if self.noise_per_block else "one a layer"

    def at_resolution(self, resolution: int) -> StyleGAN1Spec:
        """The same network without its highest blocks; its level of detail counts from the new resolution."""
        count = block_at(resolution, len(self.channels)) + 1
        dropped = len(self.channels) - count
        if dropped and not self.rgb_everywhere:
            raise BundleError(
                f"resolution {resolution}: this network makes RGB only at its last resolution, {self.resolution}"
            )
        return dataclasses.replace(self, channels=self.channels[:count], lod=max(0.0, self.lod - dropped))

    @property
    def float32_rounding(self) -> float:
        """Four: instance normalisation amplifies rounding.

        The float32 reference of a network of official size at 1024 px differs from float64 in 2.2e-4 of its values,
        and from the graph in 2.3e-4.
        """
        return 4.0

    @property
    def level_of_detail(self) -> float:
        """`lod`."""
        return self.lod

    def at_lod(self, lod: float) -> StyleGAN1Spec:
        """The same network at another level of detail."""
        return dataclasses.replace(self, lod=float(lod))
