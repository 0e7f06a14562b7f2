"""The specification of a generator: all that is needed to build the network, without its weights."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runtime.errors import BundleError
from runtime.records import from_plain, to_plain

MAX_RESOLUTION = 4096
"""Largest side of an image in pixels: four times what any published StyleGAN has; above it a file is not believed."""
MAX_BLOCKS = 11
"""Blocks of a synthesis network: one a resolution, from 4 to MAX_RESOLUTION."""
MAX_WIDTH = 16384
"""Largest latent, label or feature width that a specification may claim; published networks stay below 2048."""
MAX_MAPPING_LAYERS = 64
"""Published mapping networks have 2 to 18 layers."""
MAX_FILTER_TAPS = 32
"""Published resampling filters have 4 taps, and StyleGAN3's have up to 24."""


class Generation(str, Enum):
    """Which paper's synthesis network this is."""

    STYLEGAN2 = "stylegan2"


class Architecture(str, Enum):
    """How a StyleGAN2 synthesis network makes RGB (arXiv 1912.04958, figure 7)."""

    SKIP = "skip"
    ORIG = "orig"
    RESNET = "resnet"


class LayerKind(str, Enum):
    """What a layer that takes a style does."""

    CONV = "conv"
    TO_RGB = "torgb"


@dataclass(frozen=True)
class MappingSpec:
    """`z` (and label `c`) -> `w`.

    `features` holds the output width of each fully connected layer; the last one is `w_dim`. `embed_features` is the
    width that a label is embedded in (0 where the network takes none). `lr_multiplier` scales weights and biases.
    """

    z_dim: int
    w_dim: int
    c_dim: int
    features: tuple[int, ...]
    embed_features: int
    lr_multiplier: float

    def __post_init__(self) -> None:
        _check_range("z_dim", self.z_dim, 1, MAX_WIDTH)
        _check_range("w_dim", self.w_dim, 1, MAX_WIDTH)
        _check_range("c_dim", self.c_dim, 0, MAX_WIDTH)
        _check_range("mapping layers", len(self.features), 1, MAX_MAPPING_LAYERS)
        for width in self.features:
            _check_range("mapping features", width, 1, MAX_WIDTH)
        if self.features[-1] != self.w_dim:
            raise BundleError(f"mapping ends in {self.features[-1]} features, expected w_dim = {self.w_dim}")
        _check_range("embed_features", self.embed_features, 1 if self.c_dim else 0, MAX_WIDTH if self.c_dim else 0)
        _check_finite("lr_multiplier", self.lr_multiplier)


@dataclass(frozen=True)
class StyledLayer:
    """One layer that takes a style: a 3x3 modulated convolution, or a 1x1 one that makes RGB.

    `style` is the row of `ws` that it takes, `noise` the index of its noise input (None where it has none), `up`
    whether it doubles the resolution, and `resolution` the side of what it puts out.
    """

    name: str
    kind: LayerKind
    in_channels: int
    out_channels: int
    resolution: int
    up: bool
    style: int
    noise: int | None


@dataclass(frozen=True)
class StyleGAN2Spec:
    """A StyleGAN2 synthesis network (arXiv 1912.04958; configuration as in arXiv 2006.06676).

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
        _check_range("synthesis blocks", len(self.channels), 1, MAX_BLOCKS)
        for width in self.channels:
            _check_range("channels", width, 1, MAX_WIDTH)
        _check_range("resampling filter taps", len(self.resample_filter), 2, MAX_FILTER_TAPS)
        for tap in self.resample_filter:
            _check_finite("resample_filter", tap)
        if self.conv_clamp is not None:
            _check_finite("conv_clamp", self.conv_clamp)
            if self.conv_clamp <= 0:
                raise BundleError(f"conv_clamp is {self.conv_clamp}, expected a positive number")

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return 4 << (len(self.channels) - 1)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Side of each block's output in pixels, from 4 up."""
        return tuple(4 << index for index in range(len(self.channels)))

    @property
    def num_ws(self) -> int:
        """Rows of `ws`: two a resolution, 4x4 having one convolution fewer, and one more for the last toRGB."""
        return 2 * len(self.channels)

    def layers(self, img_channels: int) -> tuple[StyledLayer, ...]:
        """All layers that take a style, in synthesis order (convolutions of a block before its toRGB)."""
        layers: list[StyledLayer] = []
        row = 0
        for index, (resolution, width) in enumerate(zip(self.resolutions, self.channels)):
            inputs = self.channels[max(index - 1, 0)]
            convs = [("conv1", width, False)] if index == 0 else [("conv0", inputs, True), ("conv1", width, False)]
            for name, in_channels, up in convs:
                noise = row if self.use_noise else None
                layers.append(
                    StyledLayer(f"b{resolution}.{name}", LayerKind.CONV, in_channels, width, resolution, up, row, noise)
                )
                row += 1
            if self.architecture is Architecture.SKIP or index == len(self.channels) - 1:
                # A toRGB takes the row of the next block's first convolution: `row` is not advanced.
                layers.append(
                    StyledLayer(
                        f"b{resolution}.torgb", LayerKind.TO_RGB, width, img_channels, resolution, False, row, None
                    )
                )
        return tuple(layers)


@dataclass(frozen=True)
class GeneratorSpec:
    """Everything but the weights. JSON round trip: `to_json` and `from_json`."""

    generation: Generation
    img_channels: int
    mapping: MappingSpec
    synthesis: StyleGAN2Spec

    def __post_init__(self) -> None:
        # Pillow and the official scripts know grey, RGB and RGBA.
        if self.img_channels not in (1, 3, 4):
            raise BundleError(f"the generator makes {_number(self.img_channels)} image channels, expected 1, 3 or 4")

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return self.synthesis.resolution

    @property
    def z_dim(self) -> int:
        """Width of the latent `z`."""
        return self.mapping.z_dim

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent `w`."""
        return self.mapping.w_dim

    @property
    def c_dim(self) -> int:
        """Width of the label `c`; 0 where the generator is unconditional."""
        return self.mapping.c_dim

    @property
    def num_ws(self) -> int:
        """Number of style vectors that synthesis takes."""
        return self.synthesis.num_ws

    @property
    def layers(self) -> tuple[StyledLayer, ...]:
        """All layers that take a style, in synthesis order."""
        return self.synthesis.layers(self.img_channels)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """`(H, W)` of each noise input, in synthesis order."""
        return tuple((layer.resolution, layer.resolution) for layer in self.layers if layer.noise is not None)

    def at_resolution(self, resolution: int) -> GeneratorSpec:
        """The same generator stopped at a lower resolution, where its architecture has a toRGB there."""
        if resolution not in self.synthesis.resolutions:
            known = ", ".join(str(side) for side in self.synthesis.resolutions)
            raise BundleError(f"resolution {resolution} is not one of this network's: {known}")
        if resolution != self.resolution and self.synthesis.architecture is not Architecture.SKIP:
            raise BundleError(
                f"resolution {resolution}: a {self.synthesis.architecture.value!r} network makes RGB only at its last "
                f"resolution, {self.resolution}; only 'skip' networks can stop early"
            )
        count = self.synthesis.resolutions.index(resolution) + 1
        return dataclasses.replace(
            self, synthesis=dataclasses.replace(self.synthesis, channels=self.synthesis.channels[:count])
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json`."""
        return to_plain(self)

    @classmethod
    def from_json(cls, data: Any, where: str = "specification") -> GeneratorSpec:
        """Read what `to_json` wrote. Raises BundleError naming the field that is wrong."""
        return from_plain(cls, data, where)


def latent_names(count: int) -> list[str]:
    """Names of the pipeline graph's latent inputs: `z`, `z_1`, ..."""
    return ["z", *(f"z_{index}" for index in range(1, count))]


_HUGE = 10**15
"""Python refuses to print numbers of thousands of digits, and nobody wants to read them."""


def noise_name(index: int) -> str:
    """Name of a noise input, in graphs and in `constants.npz`."""
    return f"noise_{index:02d}"


def _number(value: int) -> str:
    return str(value) if abs(value) < _HUGE else "a huge number"


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BundleError(f"{what} is {_number(value)}, expected {low} to {high}")


def _check_finite(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise BundleError(f"{what} is {value}, expected a finite number")
