"""StyleGAN2's up-convolution as a module, in any of its forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.up_forms import UP, Branches, Correlation, Interleave, Step, TransposedConvolution, UpForm, up_steps

MAX_PRODUCTS = 1 << 26
"""Values that ONNX Runtime may hold in a transposed convolution: all nine products of each input value and output
channel. 256 MiB; a layer with more is taken in parts, which costs no time (docs/performance.md)."""


class UpConvolution(nn.Module):
    """[N, in, H, W] -> [N, out, 2H, 2W], by its steps; `kernel` makes a constant of the graph out of an array."""

    def __init__(self, steps: Sequence[Step], kernel: Callable[[np.ndarray], Tensor]) -> None:
        super().__init__()
        self.steps = steps
        self._names: dict[int, str] = {}
        self._register(self.steps, kernel)

    @property
    def most_nodes(self) -> int:
        """Nodes of the graph that it may take beyond a layer's usual ones: a step may be four."""
        return 4 * sum(len(step.parts) for step in self.steps if isinstance(step, Branches))

    def _register(self, steps: Sequence[Step], kernel: Callable[[np.ndarray], Tensor]) -> None:
        for step in steps:
            if isinstance(step, Branches):
                for part in step.parts:
                    self._register(part, kernel)
            elif isinstance(step, (TransposedConvolution, Correlation)):
                self._names[id(step)] = f"weight{len(self._names)}"
                self.register_buffer(self._names[id(step)], kernel(step.weight))

    def forward(self, x: Tensor) -> Tensor:
        """The up-convolution, without bias."""
        return self._run(x, self.steps, x.shape[-1])

    def _run(self, x: Tensor, steps: Sequence[Step], side: int) -> Tensor:
        for step in steps:
            x = self._run_step(x, step, side)
        return x

    def _run_step(self, x: Tensor, step: Step, side: int) -> Tensor:
        if isinstance(step, TransposedConvolution):
            return functional.conv_transpose2d(x, self._weight(step), stride=UP, padding=step.padding)
        if isinstance(step, Correlation):
            return functional.conv2d(x, self._weight(step), padding=step.padding, groups=step.groups)
        if isinstance(step, Branches):
            return beside([self._run(x, part, side) for part in step.parts])
        if isinstance(step, Interleave):
            return functional.pixel_shuffle(x, UP)
        (row, column), size = step.begin, step.factor * side + step.offset
        return x[:, :, row : row + size, column : column + size]

    def _weight(self, step: Step) -> Tensor:
        return self.get_buffer(self._names[id(step)])


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
