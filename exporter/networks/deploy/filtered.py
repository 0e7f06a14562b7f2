"""StyleGAN3's filtered leaky ReLU as plain operators: up-sampling, leaky ReLU, clamp, down-sampling.

Two forms of the same sum. `DirectActivation` up-samples by a depthwise transposed convolution along each axis, which
never touches an inserted zero, and down-samples by strided depthwise convolutions. `PhasedActivation` never puts the
up-sampled pixels in their order: it keeps each phase of them, every `factor`-th row and column, as an image of its own.
Phases of the input's resolution come from short plain convolutions, and down-sampling is the sum of one more of each.
ONNX Runtime takes half the time for it, because its transposed convolutions are slow.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.deploy.common import (
    CHANNEL_ALIGNMENT,
    Form,
    Weights,
    aligned_up,
    constant,
    float64,
)
from exporter.networks.deploy.cost_model import Target
from exporter.networks.deploy.passes import Pass
from exporter.networks.deploy.phases import down_phases, has_phases, up_phases
from exporter.networks.deploy.up import beside
from exporter.networks.mapping import LEAKY_SLOPE
from runtime.spec import FilteredLayer

MAX_VALUES = 1 << 27
"""Values between the filters beyond which channels are filtered in parts: two such arrays take 1 GiB of memory.

At 512 px configuration R takes 1.7 GB instead of 6.1 on ONNX Runtime, and its first image 10 s instead of 16.
"""


LEAST_SIDE = 300
"""Side from which on phases of unlike factors are worth their 140 operators a layer, which take seconds to trace: at
256 px, the two largest of four such layers take five sixths of the time of all four."""


@dataclass(frozen=True)
class Nonlinearity:
    """Leaky ReLU, what its input does not hold of the gain yet, and the clamp."""

    gain: float
    clamp: float | None

    def __call__(self, x: Tensor) -> Tensor:
        """Any shape."""
        x = functional.leaky_relu(x, LEAKY_SLOPE)
        x = x if self.gain == 1 else x * self.gain
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class FilteredActivation(nn.Module):
    """[N, C, in, in] -> [N, C, out, out], C = `channels`: the layer's, and perhaps more that are zeros.

    arXiv 2106.12423, section 3.1. `inner` is the side of what the nonlinearity takes.
    """

    def __init__(
        self,
        layer: FilteredLayer,
        inner: int,
        nonlinearity: Nonlinearity,
        weights: Weights,
        channels: int,
        in_parts: bool,
    ) -> None:
        super().__init__()
        self.layer, self.nonlinearity, self.channels = layer, nonlinearity, channels
        self.parts = split_channels(channels, inner**2) if in_parts else [channels]
        up, down = _filter(weights, layer, "up") * layer.up, _filter(weights, layer, "down")
        self._add_filters(up, np.flip(down), inner)  # flipped: a convolution operator correlates

    @abstractmethod
    def _add_filters(self, up: np.ndarray, down: np.ndarray, inner: int) -> None:
        """Register both filters; up-sampling's gain is in it, and `down` is a correlation."""

    @abstractmethod
    def _activate(self, x: Tensor) -> Tensor:
        """The filtered activation of some channels."""

    @property
    def most_nodes(self) -> int:
        """Nodes of the graph that it may take: some ten a cell of up-sampled pixels, for each part."""
        return len(self.parts) * 10 * self.layer.up**2

    def forward(self, x: Tensor) -> Tensor:
        """The filtered activation of a convolution's output, in parts where it is large."""
        if len(self.parts) == 1:
            return self._activate(x)
        return torch.cat([self._activate(part) for part in torch.split(x, self.parts, dim=1)], dim=1)

    def _add_filter(self, name: str, taps: np.ndarray) -> None:
        """The same filter for each channel: [C, 1, T, T], or [C, 1, T, 1] where it is one-dimensional."""
        kernel = taps if taps.ndim == 2 else taps[:, None]
        self.register_buffer(name, constant(np.broadcast_to(kernel, (self.channels, 1, *kernel.shape))))

    def _filter_for(self, x: Tensor, name: str) -> Tensor:
        """A registered filter for as many channels as x has: it is alike for all."""
        return self.get_buffer(name)[: x.shape[1]]


class DirectActivation(FilteredActivation):
    """All up-sampled pixels in one array: for any factors."""

    def _add_filters(self, up: np.ndarray, down: np.ndarray, inner: int) -> None:
        taps, self.crop = symmetric_crop(up, self.layer)
        self._add_filter("up", taps)
        self._add_filter("down", down)

    def _activate(self, x: Tensor) -> Tensor:
        channels, factor, crop, stride = x.shape[1], self.layer.up, self.crop, self.layer.down
        up, down = self._filter_for(x, "up"), self._filter_for(x, "down")
        x = functional.conv_transpose2d(x, up.transpose(2, 3), stride=(1, factor), padding=(0, crop), groups=channels)
        x = functional.conv_transpose2d(x, up, stride=(factor, 1), padding=(crop, 0), groups=channels)
        x = self.nonlinearity(x)
        if self.layer.radial:
            return functional.conv2d(x, down, stride=stride, groups=channels)
        x = functional.conv2d(x, down.transpose(2, 3), stride=(1, stride), groups=channels)
        return functional.conv2d(x, down, stride=(stride, 1), groups=channels)


class PhasedActivation(FilteredActivation):
    """Each phase of the up-sampled pixels by itself: where the factor of down-sampling divides that of up-sampling."""

    def _add_filters(self, up: np.ndarray, down: np.ndarray, inner: int) -> None:
        self.results = range(self.layer.up // self.layer.down)
        kernels, self.pad = up_phases(up, self.layer, inner)
        for phase, kernel in enumerate(kernels):
            self._add_filter(f"up{phase}", kernel)
        if self.layer.radial:
            for at in product(self.results, self.results):
                self._add_radial(down, at)
            return
        for result in self.results:
            for phase, kernel in enumerate(down_phases(down, self.layer.up, self.layer.down, result)):
                self._add_filter(f"down{result}_{phase}", kernel)

    def _add_radial(self, down: np.ndarray, at: tuple[int, int]) -> None:
        """Of one phase of the output: a filter for each cell of up-sampled pixels."""
        factors = self.layer.up, self.layer.down
        for row, rows in enumerate(down_phases(down, *factors, at[0])):
            for column, columns in enumerate(down_phases(rows.T, *factors, at[1])):
                self._add_filter(f"down{at[0]}{at[1]}_{row}{column}", columns.T)

    def _activate(self, x: Tensor) -> Tensor:
        phases, pad = range(self.layer.up), self.pad
        cells = {}
        for column in phases:
            wide = self._correlate(x, f"up{column}", along_x=True, padding=(0, pad))
            for row in phases:
                cells[row, column] = self.nonlinearity(self._correlate(wide, f"up{row}", padding=(pad, 0)))
        if self.layer.radial:
            return interleave([self._radial(cells, at) for at in product(self.results, self.results)])
        return interleave([part for row in self.results for part in self._separable(cells, row)])

    def _radial(self, cells: Mapping[tuple[int, int], Tensor], at: tuple[int, int]) -> Tensor:
        """One phase of the output."""
        name = f"down{at[0]}{at[1]}"
        return reduce(add, (self._correlate(cell, f"{name}_{row}{column}") for (row, column), cell in cells.items()))

    def _separable(self, cells: Mapping[tuple[int, int], Tensor], result: int) -> Iterator[Tensor]:
        """The phases of the output that lie in every r-th row from `result` on."""
        phases = range(self.layer.up)
        columns = [
            reduce(add, (self._correlate(cells[row, column], f"down{result}_{row}") for row in phases))
            for column in phases
        ]
        for across in self.results:
            parts = (
                self._correlate(part, f"down{across}_{column}", along_x=True) for column, part in enumerate(columns)
            )
            yield reduce(add, parts)

    def _correlate(self, x: Tensor, name: str, along_x: bool = False, padding: tuple[int, int] = (0, 0)) -> Tensor:
        weight = self._filter_for(x, name)
        weight = weight.transpose(2, 3) if along_x else weight
        return functional.conv2d(x, weight, padding=padding, groups=x.shape[1])


def interleave(phases: Sequence[Tensor]) -> Tensor:
    """r * r images [N, C, H, W], row by row -> [N, C, r H, r W], of which each is every r-th row and column."""
    if len(phases) == 1:
        return phases[0]
    return functional.pixel_shuffle(beside(phases), math.isqrt(len(phases)))


def filtered_activation(
    layer: FilteredLayer, inner: int, nonlinearity: Nonlinearity, weights: Weights, channels: int, form: Form
) -> FilteredActivation:
    """A layer's filtered leaky ReLU, in the form that runs faster.

    Phases of unlike factors are many small operators, which a GPU would have to start one by one.
    """
    phased = Pass.PHASES in form.passes and has_phases(layer)
    if layer.up != layer.down and not form.plain:
        whole = len(split_channels(channels, inner**2)) == 1
        phased = phased and form.target is Target.CPU and whole and inner >= LEAST_SIDE
    kind = PhasedActivation if phased else DirectActivation
    return kind(layer, inner, nonlinearity, weights, channels, Pass.PARTS in form.passes)


def split_channels(channels: int, pixels: int) -> list[int]:
    """Channels to filter at once, part by part: all, or the fewest parts of aligned width that are small enough."""
    count = min(-(-channels * pixels // MAX_VALUES), -(-channels // CHANNEL_ALIGNMENT))
    width = aligned_up(-(-channels // count)) if count > 1 else channels
    return [min(width, channels - start) for start in range(0, channels, width)]


def _filter(weights: Weights, layer: FilteredLayer, which: str) -> np.ndarray:
    """A layer's own filter; one tap of 1 where it has none."""
    name = f"synthesis.{layer.name}.{which}_filter"
    return float64(weights, name) if name in weights else np.ones(1)


def symmetric_crop(taps: np.ndarray, layer: FilteredLayer) -> tuple[np.ndarray, int]:
    """Taps, and how much a transposed convolution with them must cut off each side of an axis.

    Zero insertion, padding by (p, q) and convolution with T taps is a transposed convolution without T - 1 - p values
    at its beginning and T - up - q at its end. Each zero before the taps raises the first number by one, each zero
    after them the second: so many that the two are alike, and neither negative.
    """
    first, last = len(taps) - 1 - layer.padding[0], len(taps) - layer.up - layer.padding[1]
    crop = max(first, last, 0)
    return np.concatenate([np.zeros(crop - first), taps, np.zeros(crop - last)]), crop
