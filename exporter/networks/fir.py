"""FIR resampling by its definition (arXiv 1912.04958, appendix B; arXiv 2106.12423, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

UP = 2
"""Up-sampling factor of every StyleGAN2 block."""


def filter_kernel(taps: Sequence[float], gain: float = UP**2) -> Tensor:
    """The two-dimensional filter [T, T] of one-dimensional taps, by default with the gain that zero insertion takes."""
    line = torch.tensor(taps, dtype=torch.float64)
    return torch.outer(line, line) * gain


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Zero insertion, padding, convolution: [N, C, H, W] -> [N, C, 2H, 2W]."""
    taps = kernel.shape[-1]
    return filter_image(insert_zeros(x, UP), kernel, (taps + 1) // 2, (taps - 2) // 2)


def insert_zeros(x: Tensor, up: int) -> Tensor:
    """Put `up` - 1 zeros after every value: [N, C, H, W] -> [N, C, up * H, up * W]."""
    batch, channels, height, width = x.shape
    spread = x.reshape(batch, channels, height, 1, width, 1)
    spread = functional.pad(spread, (0, up - 1, 0, 0, 0, up - 1))
    return spread.reshape(batch, channels, height * up, width * up)


def filter_image(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    """Pad by `before` and `after` a side, then convolve each channel with `kernel` (flipped: a true convolution)."""
    channels = x.shape[1]
    weight = kernel.to(x).flip(0, 1).expand(channels, 1, *kernel.shape)
    return functional.conv2d(functional.pad(x, (before, after, before, after)), weight, groups=channels)


def upsample_padded(x: Tensor, taps: Tensor, up: int, padding: Sequence[int]) -> Tensor:
    """Zero insertion, `padding` before and after (negative: cropping), and `taps` [T] without gain, along both axes.

    [N, C, H, W] -> [N, C, up * H + before + after - T + 1, ...]. Written as a transposed convolution, which adds up the
    same products but for those with an inserted zero, and needs no array that is mostly zeros.
    """
    channels, count = x.shape[1], len(taps)
    line = taps.to(x).expand(channels, 1, count)
    # What is left to pad around the full convolution, which ends without the zeros after the last value.
    before, after = padding[0] - (count - 1), padding[1] - (count - up)
    crop = max(0, min(-before, -after))
    before, after = before + crop, after + crop
    x = functional.conv_transpose2d(x, line[:, :, None, :], stride=(1, up), padding=(0, crop), groups=channels)
    x = functional.pad(x, (before, after, 0, 0))
    x = functional.conv_transpose2d(x, line[:, :, :, None], stride=(up, 1), padding=(crop, 0), groups=channels)
    return functional.pad(x, (0, 0, before, after))


def transposed_conv_padding(taps: int) -> tuple[int, int]:
    """Padding of the filter after a 3x3 transposed convolution with stride 2, so that H becomes exactly 2H."""
    return (taps + 1) // 2 - 1, (taps - 2) // 2


def filter_and_stride(x: Tensor, taps: Tensor, stride: int) -> Tensor:
    """Convolve each channel with `taps`, [T] along both axes or [T, T], and keep every `stride`-th value.

    No padding: [N, C, H, W] -> [N, C, (H - T) // stride + 1, (W - T) // stride + 1].
    """
    channels = x.shape[1]
    if taps.ndim == 1:
        line = taps.to(x).flip(0).expand(channels, 1, -1)
        x = functional.conv2d(x, line[:, :, None, :], stride=(1, stride), groups=channels)
        return functional.conv2d(x, line[:, :, :, None], stride=(stride, 1), groups=channels)
    kernel = taps.to(x).flip(0, 1).expand(channels, 1, *taps.shape)
    return functional.conv2d(x, kernel, stride=stride, groups=channels)
