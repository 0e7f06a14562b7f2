"""StyleGAN3's filtered leaky ReLU as plain operators: up-sampling, leaky ReLU, clamp, down-sampling.

Up-sampling is a depthwise transposed convolution along each axis, which never touches an inserted zero; down-sampling a
strided depthwise convolution, along each axis, or in one piece where the filter is radial.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.deploy.common import CHANNEL_ALIGNMENT, Weights, aligned_up, aligned_width, constant, float64
from exporter.networks.mapping import LEAKY_SLOPE
from runtime.spec import FilteredLayer

MAX_VALUES = 1 << 27
"""Values between the filters beyond which channels are filtered in parts: two such arrays take 1 GiB of memory.

At 512 px configuration R takes 1.7 GB instead of 6.1 on ONNX Runtime, and its first image 10 s instead of 16.
"""


class FilteredActivation(nn.Module):
    """[N, C, in, in] -> [N, C, out, out], C an aligned width; the activation's gain is in the input.

    arXiv 2106.12423, section 3.1.
    """

    def __init__(self, layer: FilteredLayer, inner: int, clamp: float | None, weights: Weights) -> None:
        super().__init__()
        self.layer, self.clamp, self.channels = layer, clamp, aligned_width(layer.out_channels)
        self.parts = split_channels(self.channels, inner**2)
        taps, self.crop = symmetric_crop(_filter(weights, layer, "up") * layer.up, layer)
        self.register_buffer("up", constant(self._depthwise(taps)))
        # The flip makes a correlation of the filter, which is what a convolution operator computes.
        self.register_buffer("down", constant(self._depthwise(np.flip(_filter(weights, layer, "down")))))

    def _depthwise(self, taps: np.ndarray) -> np.ndarray:
        """The same filter for each channel: [C, 1, T, T], or [C, 1, T, 1] where it is one-dimensional."""
        kernel = taps if taps.ndim == 2 else taps[:, None]
        return np.broadcast_to(kernel, (self.channels, 1, *kernel.shape))

    def forward(self, x: Tensor) -> Tensor:
        """The filtered activation of a convolution's output, in parts where it is large."""
        if len(self.parts) == 1:
            return self._activate(x)
        return torch.cat([self._activate(part) for part in torch.split(x, self.parts, dim=1)], dim=1)

    def _activate(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        up, down = self.get_buffer("up")[:channels], self.get_buffer("down")[:channels]  # alike for all channels
        factor, crop = self.layer.up, self.crop
        x = functional.conv_transpose2d(x, up.transpose(2, 3), stride=(1, factor), padding=(0, crop), groups=channels)
        x = functional.conv_transpose2d(x, up, stride=(factor, 1), padding=(crop, 0), groups=channels)
        x = functional.leaky_relu(x, LEAKY_SLOPE)
        if self.clamp is not None:
            x = x.clamp(-self.clamp, self.clamp)
        stride = self.layer.down
        if self.layer.radial:
            return functional.conv2d(x, down, stride=stride, groups=channels)
        x = functional.conv2d(x, down.transpose(2, 3), stride=(1, stride), groups=channels)
        return functional.conv2d(x, down, stride=(stride, 1), groups=channels)


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
