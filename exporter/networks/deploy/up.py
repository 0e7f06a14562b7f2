"""StyleGAN2's up-convolution as a module, in any of its forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.up_forms import UP, Branches, Correlation, Crop, Interleave, Step, TransposedConvolution, UpForm, up_steps

MAX_PRODUCTS = 1 << 26
"""Values that ONNX Runtime may hold in a transposed convolution: all nine products of each input value and output
channel. 256 MiB; a layer with more is taken in parts, which costs no time (docs/performance.md)."""


class UpConvolution(nn.Module):
    """[N, in, H, W] -> [N, out, 2H, 2W], by its steps; `kernel` makes a constant of the graph out of an array."""

    def __init__(self, steps: Sequence[Step], kernel: Callable[[np.ndarray], Tensor]) -> None:
        super().__init__()
        self._kernels = 0
        self._calls = self._compiled(steps, kernel)
        self.most_nodes = 4 * sum(len(step.parts) for step in steps if isinstance(step, Branches))
        """Nodes of the graph that it may take beyond a layer's usual ones: a step may be four."""

    def _compiled(self, steps: Sequence[Step], kernel: Callable[[np.ndarray], Tensor]) -> list[_Call]:
        return [self._compile(step, kernel) for step in steps]

    def _compile(self, step: Step, kernel: Callable[[np.ndarray], Tensor]) -> _Call:
        """A step without its array, which becomes a buffer."""
        if isinstance(step, TransposedConvolution):
            name = self._add(kernel(step.weight))
            return partial(_convolve, name=name, run=functional.conv_transpose2d, stride=UP, padding=step.padding)
        if isinstance(step, Correlation):
            name = self._add(kernel(step.weight))
            return partial(_convolve, name=name, run=functional.conv2d, padding=step.padding, groups=step.groups)
        if isinstance(step, Branches):
            return partial(_branch, parts=[self._compiled(part, kernel) for part in step.parts])
        return _interleave if isinstance(step, Interleave) else partial(_crop, crop=step)

    def _add(self, weight: Tensor) -> str:
        """Register a constant; layers are named after the first (`exporter.quantize`, `engines.up_graph`)."""
        name = f"weight{self._kernels}"
        self._kernels += 1
        self.register_buffer(name, weight)
        return name

    def forward(self, x: Tensor) -> Tensor:
        """The up-convolution, without bias."""
        return _run(self._calls, x, self, x.shape[-1])


_Call = Callable[[Tensor, nn.Module, int], Tensor]
"""A step: of an image, the module that holds the constants, and the side of the whole layer's input."""


def _run(calls: Sequence[_Call], x: Tensor, module: nn.Module, side: int) -> Tensor:
    for call in calls:
        x = call(x, module, side)
    return x


def _convolve(x: Tensor, module: nn.Module, _: int, name: str, run: Callable[..., Tensor], **settings: Any) -> Tensor:
    return run(x, module.get_buffer(name), **settings)


def _branch(x: Tensor, module: nn.Module, side: int, parts: Sequence[Sequence[_Call]]) -> Tensor:
    return beside([_run(calls, x, module, side) for calls in parts])


def _interleave(x: Tensor, _: nn.Module, __: int) -> Tensor:
    return functional.pixel_shuffle(x, UP)


def _crop(x: Tensor, _: nn.Module, side: int, crop: Crop) -> Tensor:
    (row, column), size = crop.begin, crop.factor * side + crop.offset
    return x[:, :, row : row + size, column : column + size]


class PartedUpConvolution(nn.Module):
    """The same for some output channels after the other, so that fewer products are held at once."""

    def __init__(self, parts: Sequence[UpConvolution]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """The up-convolution, without bias."""
        return torch.cat([part(x) for part in self.parts], dim=1)


def up_convolution(
    form: UpForm,
    weight: np.ndarray,
    taps: np.ndarray,
    side: int,
    kernel: Callable[[np.ndarray], Tensor],
    in_parts: bool,
) -> nn.Module:
    """An up-convolution for inputs of `side` x `side`; `in_parts` where it would hold too many products at once."""
    held = weight.shape[0] * weight.shape[-1] ** 2 * side**2
    count = -(-held // MAX_PRODUCTS) if in_parts and form is UpForm.TRANSPOSED else 1
    if count == 1:
        return UpConvolution(up_steps(form, weight, taps), kernel)
    parts = [part for part in np.array_split(weight, count) if len(part)]
    return PartedUpConvolution([UpConvolution(up_steps(form, part, taps), kernel) for part in parts])


def beside(parts: Sequence[Tensor]) -> Tensor:
    """Images [N, C, H, W] -> [N, parts * C, H, W], channel by channel: all of the first channel, then of the second."""
    _, channels, height, width = parts[0].shape
    return torch.stack(list(parts), dim=2).reshape(-1, channels * len(parts), height, width)
