"""FIR resampling with a separable filter, by its definition (arXiv 1912.04958, appendix B; arXiv 1812.04948)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

UP = 2
"""Up-sampling factor of every StyleGAN2 block."""


def filter_kernel(taps: Sequence[float]) -> Tensor:
    """The two-dimensional filter [T, T] of one-dimensional taps, with the gain that zero insertion takes away."""
    line = torch.tensor(taps, dtype=torch.float64)
    return torch.outer(line, line) * UP**2


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Zero insertion, padding, convolution: [N, C, H, W] -> [N, C, 2H, 2W]."""
    taps = kernel.shape[-1]
    batch, channels, height, width = x.shape
    spread = x.reshape(batch, channels, height, 1, width, 1)
    spread = functional.pad(spread, (0, UP - 1, 0, 0, 0, UP - 1))
    spread = spread.reshape(batch, channels, height * UP, width * UP)
    return filter_image(spread, kernel, (taps + 1) // 2, (taps - 2) // 2)


def filter_image(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    """Pad by `before` and `after` a side, then convolve each channel with `kernel` (flipped: a true convolution)."""
    channels = x.shape[1]
    weight = kernel.to(x).flip(0, 1).expand(channels, 1, *kernel.shape)
    return functional.conv2d(functional.pad(x, (before, after, before, after)), weight, groups=channels)


def transposed_conv_padding(taps: int) -> tuple[int, int]:
    """Padding of the filter after a 3x3 transposed convolution with stride 2, so that H becomes exactly 2H."""
    return (taps + 1) // 2 - 1, (taps - 2) // 2
