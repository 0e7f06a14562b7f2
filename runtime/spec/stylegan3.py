"""StyleGAN3 synthesis (arXiv 2106.12423): configurations T and R."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime.errors import BundleError, quoted
from runtime.spec.bounds import (
    MAX_FILTER_TAPS,
    MAX_LAYERS,
    MAX_MARGIN,
    MAX_RESOLUTION,
    MAX_SAMPLING,
    MAX_WIDTH,
    check_finite,
    check_positive,
    check_range,
)
from runtime.spec.synthesis import Layer, LayerCost, LayerKind, SynthesisSpec

MAX_KERNEL = 7
"""Largest convolution kernel; configuration T has 3, R has 1."""
MAX_PADDING = 256
"""Largest padding, or crop where it is negative, around a filtered nonlinearity; published ones stay below 20."""
LAYER_NAME = re.compile(r"L[0-9]{1,5}_[0-9]{1,5}_[0-9]{1,5}")
"""What a layer is called: its number, size and channels. Modules and arrays take the name, so it must be harmless."""


@dataclass(frozen=True)
class Fourier:
    """The input: a sum of `channels` sines, sampled on `size` x `size` points at `sampling_rate` an image width.

    Frequencies beyond `bandwidth` fade to nothing at half the sampling rate (section 3.2).
    """

    channels: int
    size: int
    sampling_rate: float
    bandwidth: float

    def __post_init__(self) -> None:
        check_range("input channels", self.channels, 1, MAX_WIDTH)
        check_range("input size", self.size, 1, MAX_RESOLUTION + 2 * MAX_MARGIN)
        check_positive("input sampling rate", self.sampling_rate)
        if not 0 <= self.bandwidth < self.sampling_rate / 2:
            raise BundleError(
                f"the input's bandwidth is {self.bandwidth:g}, expected from 0 to less than half its sampling rate"
                f" of {self.sampling_rate:g}"
            )


@dataclass(frozen=True)
class FilteredLayer:
    """A modulated convolution and the filtered nonlinearity after it (section 3.1).

    The convolution grows its input by kernel - 1. Up-sampling by `up` with a filter of `up_taps`, padded by `padding`
    (first and last side; negative crops), leaky ReLU, and down-sampling by `down` with a filter of `down_taps` follow.
    A filter of 1 tap is none, and then the factor is 1. A `radial` filter for down-sampling is two-dimensional, others
    are separable.
    """

    name: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    padding: tuple[int, ...]

    def __post_init__(self) -> None:
        if not LAYER_NAME.fullmatch(self.name):
            raise BundleError(f"a layer is named {quoted(self.name)}, expected one like 'L0_36_512'")
        for what in ("in_channels", "out_channels"):
            check_range(f"{self.name}: {what}", getattr(self, what), 1, MAX_WIDTH)
        for what in ("in_size", "out_size"):
            check_range(f"{self.name}: {what}", getattr(self, what), 1, MAX_RESOLUTION + 2 * MAX_MARGIN)
        for what in ("up", "down"):
            check_range(f"{self.name}: {what}", getattr(self, what), 1, MAX_SAMPLING)
        for what in ("up_taps", "down_taps"):
            check_range(f"{self.name}: {what}", getattr(self, what), 1, MAX_FILTER_TAPS)
        check_range(f"{self.name}: number of paddings", len(self.padding), 2, 2)
        for pad in self.padding:
            check_range(f"{self.name}: padding", pad, -MAX_PADDING, MAX_PADDING)
        for what in ("up", "down"):
            if getattr(self, what) > 1 and getattr(self, f"{what}_taps") == 1:
                raise BundleError(f"{self.name}: {what} is {getattr(self, what)} without a filter, expected 1")
        if self.radial and self.down_taps == 1:
            raise BundleError(f"{self.name}: the filter for down-sampling is radial, but has 1 tap: expected more")

    @property
    def resamples(self) -> bool:
        """Whether anything but leaky ReLU follows the convolution."""
        return (self.up, self.down, self.up_taps, self.down_taps, *self.padding) != (1, 1, 1, 1, 0, 0)

    def inner_size(self, kernel: int) -> int:
        """Side of what the leaky ReLU takes, in pixels."""
        return (self.in_size + kernel - 1) * self.up + sum(self.padding) - (self.up_taps - 1)


@dataclass(frozen=True)
class StyleGAN3Spec(SynthesisSpec):
    """A StyleGAN3 synthesis network. The last of `filtered` makes RGB: no demodulation, no nonlinearity.

    `conv_clamp` bounds every layer's activations; `output_scale` multiplies the image.
    """

    fourier: Fourier
    filtered: tuple[FilteredLayer, ...]
    conv_kernel: int
    conv_clamp: float | None
    output_scale: float

    def __post_init__(self) -> None:
        check_range("synthesis layers", len(self.filtered), 2, MAX_LAYERS)
        check_range("convolution kernel", self.conv_kernel, 1, MAX_KERNEL)
        check_finite("output_scale", self.output_scale)
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
        size, channels = self.fourier.size, self.fourier.channels
        for layer in self.filtered:
            if (layer.in_size, layer.in_channels) != (size, channels):
                raise BundleError(
                    f"{layer.name} takes {layer.in_channels} channels of {layer.in_size} px, but the layer before it "
                    f"puts out {channels} of {size} px"
                )
            self._check_size(layer)
            size, channels = layer.out_size, layer.out_channels
        check_range("resolution", self.resolution, 4, MAX_RESOLUTION)
        if self.filtered[-1].resamples:
            raise BundleError(f"{self.filtered[-1].name} makes RGB, but filters or pads: expected a convolution alone")
        if len({layer.name for layer in self.filtered}) < len(self.filtered):
            raise BundleError("two layers have one name, expected a name of its own for each")

    def _check_size(self, layer: FilteredLayer) -> None:
        kernel = self.kernel_of(layer)
        inner, spread = layer.inner_size(kernel), (layer.in_size + kernel - 1) * layer.up
        if -sum(min(pad, 0) for pad in layer.padding) >= spread:
            raise BundleError(f"{layer.name} crops all of its {spread} px, expected less")
        needed = (layer.out_size - 1) * layer.down + layer.down_taps
        if inner != needed:
            raise BundleError(f"{layer.name} makes {inner} px to filter, expected {needed} for {layer.out_size} px")

    def kernel_of(self, layer: FilteredLayer) -> int:
        """Side of a layer's convolution kernel."""
        return 1 if layer is self.filtered[-1] else self.conv_kernel

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return self.filtered[-1].out_size

    @property
    def num_ws(self) -> int:
        """Rows of `ws`: one for the input, and one a layer."""
        return len(self.filtered) + 1

    def layers(self, img_channels: int) -> tuple[Layer, ...]:
        """The input, then all convolutions; each takes a style."""
        size, width = self.fourier.size, self.fourier.channels
        layers = [Layer("input", LayerKind.INPUT, width, width, size, size, 0, None)]
        for index, item in enumerate(self.filtered):
            kind = LayerKind.TO_RGB if item is self.filtered[-1] else LayerKind.CONV
            sides = item.in_size, item.out_size
            layers.append(Layer(item.name, kind, item.in_channels, item.out_channels, *sides, index + 1, None))
        return tuple(layers)

    @property
    def float32_rounding(self) -> float:
        """Three: fifteen wide layers in a row, and no sum of many toRGB.

        The float32 reference of a network of official size at 256 px differs from float64 in 1.0e-4 of its values, and
        from the graph in 1.3e-4.
        """
        return 3.0

    @property
    def takes_transform(self) -> bool:
        """StyleGAN3 moves and turns its Fourier features (section 3.2)."""
        return True

    def costs(self, img_channels: int, w_dim: int) -> tuple[LayerCost, ...]:
        """Filters run one axis after the other, and never over inserted zeros; a radial one runs in one piece."""
        first = self.fourier
        values = first.channels * first.size**2
        costs = [LayerCost("input", first.channels * values, 0, 4 * w_dim, first.channels**2, 2 * values)]
        for layer in self.filtered:
            kernel = self.kernel_of(layer)
            side = layer.in_size + kernel - 1
            weights = kernel**2 * layer.in_channels * layer.out_channels
            inner = layer.inner_size(kernel)
            fir = inner * (side + inner) * -(-layer.up_taps // layer.up) if layer.up_taps > 1 else 0
            if layer.radial:
                fir += layer.out_size**2 * layer.down_taps**2
            elif layer.down_taps > 1:
                fir += layer.out_size * (inner + layer.out_size) * layer.down_taps
            demodulation = 0 if layer is self.filtered[-1] else layer.in_channels * layer.out_channels
            style = w_dim * layer.in_channels + demodulation
            moved = layer.in_channels * layer.in_size**2 + layer.out_channels * layer.out_size**2
            fir *= layer.out_channels
            costs.append(LayerCost(layer.name, weights * side**2, fir, style, weights, moved))
        return tuple(costs)

    def largest_activation(self, img_channels: int) -> int:
        """What the widest leaky ReLU takes: it works at a multiple of its layer's resolution."""
        return max(layer.out_channels * layer.inner_size(self.kernel_of(layer)) ** 2 for layer in self.filtered)

    def summary(self) -> dict[str, str]:
        """Kernel, filters and clamp."""
        radial = sum(layer.radial for layer in self.filtered)
        return {
            "convolutions": f"{self.conv_kernel} x {self.conv_kernel}",
            "filters": f"radial in {radial} of {len(self.filtered)} layers" if radial else "separable",
            "clamp": "none" if self.conv_clamp is None else f"{self.conv_clamp:g}",
        }
