"""StyleGAN2 synthesis (arXiv 1912.04958; configuration as in arXiv 2006.06676)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

from runtime.errors import BundleError
from runtime.spec.bounds import check_channels, check_positive, check_taps
from runtime.spec.synthesis import (
    Layer,
    LayerCost,
    LayerKind,
    LayerOutput,
    NoiseInput,
    SynthesisSpec,
    block_at,
    progressive_resolutions,
)


class Architecture(str, Enum):
    """How a StyleGAN2 synthesis network makes RGB (arXiv 1912.04958, figure 7)."""

    SKIP = "skip"
    ORIG = "orig"
    RESNET = "resnet"


@dataclass(frozen=True)
class StyleGAN2Spec(SynthesisSpec):
    """A StyleGAN2 synthesis network.

    `channels[i]` is the width of the block at 4 * 2**i pixels. `resample_filter` holds the one-dimensional FIR taps,
    normalised to sum 1. `conv_clamp` bounds every layer's output (None: no bound). `scaled_demodulation` says whether
    the weights are scaled by 1/sqrt(fan_in) before demodulation; it only changes the relative size of its epsilon.
    """

    architecture: Architecture
    channels: tuple[int, ...]
    resample_filter: tuple[float, ...]
    conv_clamp: float | None
    use_noise: bool
    scaled_demodulation: bool

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_taps("resampling filter", self.resample_filter)
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return self.resolutions[-1]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Side of each block's output in pixels, from 4 up."""
        return progressive_resolutions(len(self.channels))

    @property
    def num_ws(self) -> int:
        """Rows of `ws`: two a resolution, 4x4 having one convolution fewer, and one more for the last toRGB."""
        return 2 * len(self.channels)

    def layers(self, img_channels: int) -> tuple[Layer, ...]:
        """All layers, in synthesis order (convolutions of a block before its toRGB); each takes a style."""
        layers: list[Layer] = []
        row = 0
        for index, (side, width) in enumerate(zip(self.resolutions, self.channels)):
            convs = [("conv1", width, side)]
            if index:
                convs.insert(0, ("conv0", self.channels[index - 1], side // 2))
            for name, inputs, in_size in convs:
                noise = row if self.use_noise else None
                layers.append(Layer(f"b{side}.{name}", LayerKind.CONV, inputs, width, in_size, side, row, noise))
                row += 1
            if self.architecture is Architecture.SKIP or index == len(self.channels) - 1:
                # A toRGB takes the row of the next block's first convolution: `row` is not advanced.
                layers.append(Layer(f"b{side}.torgb", LayerKind.TO_RGB, width, img_channels, side, side, row, None))
        return tuple(layers)

    def outputs(self, img_channels: int) -> tuple[LayerOutput, ...]:
        """A layer's own, a residual block's sum, and RGB as it is summed up."""
        found = []
        for layer, output in zip(self.layers(img_channels), super().outputs(img_channels)):
            found.append(output)
            if layer.out_size == self.resolutions[0]:
                continue
            if layer.kind is LayerKind.TO_RGB and self.architecture is Architecture.SKIP:
                found.append(dataclasses.replace(output, name=image_output(layer)))
            if layer.kind is LayerKind.CONV and not layer.up and self.architecture is Architecture.RESNET:
                found.append(dataclasses.replace(output, name=sum_output(layer)))
        return tuple(found)

    @property
    def noise_inputs(self) -> tuple[NoiseInput, ...]:
        """One a convolution."""
        noisy = (layer for layer in self.layers(1) if layer.noise is not None)
        return tuple(NoiseInput(f"synthesis.{layer.name}.noise_const", layer.out_size) for layer in noisy)

    def costs(self, img_channels: int, w_dim: int) -> tuple[LayerCost, ...]:
        """An up-convolution is a transposed convolution followed by a FIR filter."""
        taps = len(self.resample_filter) ** 2
        costs = []
        for layer in self.layers(img_channels):
            is_conv = layer.kind is LayerKind.CONV
            weights = (9 if is_conv else 1) * layer.in_channels * layer.out_channels
            # A skip network's image is up-sampled before every toRGB but the first, and filtered like a layer.
            image = not is_conv and self.architecture is Architecture.SKIP and layer.out_size > 4
            fir = taps * layer.out_channels * layer.out_size**2 * (layer.up or image)
            demodulation = layer.in_channels * layer.out_channels * is_conv
            style = w_dim * layer.in_channels + demodulation
            costs.append(LayerCost(layer.name, weights * layer.in_size**2, fir, style, weights, layer.values))
        if self.architecture is Architecture.RESNET:
            for inputs, outputs, side in zip(self.channels, self.channels[1:], self.resolutions[1:]):
                weights, moved = inputs * outputs, inputs * (side // 2) ** 2 + outputs * side**2
                fir = taps * outputs * side**2
                costs.append(LayerCost(f"b{side}.skip", weights * (side // 2) ** 2, fir, 0, weights, moved))
        return tuple(costs)

    def summary(self) -> dict[str, str]:
        """Architecture and clamp."""
        clamp = "none" if self.conv_clamp is None else f"{self.conv_clamp:g}"
        return {"architecture": self.architecture.value, "clamp": clamp}

    def at_resolution(self, resolution: int) -> StyleGAN2Spec:
        """The same network stopped at a lower resolution, where its architecture has a toRGB there."""
        count = block_at(resolution, len(self.channels)) + 1
        if resolution != self.resolution and self.architecture is not Architecture.SKIP:
            raise BundleError(
                f"resolution {resolution}: a {self.architecture.value!r} network makes RGB only at its last "
                f"resolution, {self.resolution}; only 'skip' networks can stop early"
            )
        return dataclasses.replace(self, channels=self.channels[:count])


def image_output(layer: Layer) -> str:
    """Name of RGB summed up, from the lowest resolution to this toRGB layer's."""
    return f"b{layer.out_size}.image"


def sum_output(layer: Layer) -> str:
    """Name of what a residual block puts out: its last convolution and its shortcut."""
    return f"b{layer.out_size}.sum"
