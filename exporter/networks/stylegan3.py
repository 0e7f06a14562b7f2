"""The StyleGAN3 reference: Fourier features and filtered nonlinearities (arXiv 2106.12423), in plain PyTorch.

Written for reading and for exactness; any floating-point type. N is the batch, C a layer's width.

The paper's code normalises styles by their mean square over the whole batch, which the demodulation takes back but for
its epsilon. Here each sample is normalised by its own, so that an image never depends on its companions; with M the
mean square of a sample's styles and M' the batch's, the two differ by a factor of about 1 + 1e-8 (M' / M - 1) /
(2 fan_in), which is far below float32.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.base import ReferenceNetwork, ReferenceSynthesis
from exporter.networks.fir import filter_and_stride, upsample_padded
from exporter.networks.mapping import EPSILON, LEAKY_SLOPE, FullyConnected
from exporter.networks.marks import mark
from runtime.spec import FilteredLayer, Fourier, GeneratorSpec, StyleGAN3Spec

ACTIVATION_GAIN = math.sqrt(2)
"""Restores the variance that leaky ReLU takes away."""
CHANNELS_AT_ONCE = 16
"""Channels to filter together: they stay near the processor, and memory holds one image's activations once."""
AFFINE_FEATURES = 4
"""What the input's affine layer makes of a style: cosine and sine of a turn, and a shift in x and y."""


class FourierInput(nn.Module):
    """The first features: sines whose plane each style turns and shifts (section 3.2, figure 4b)."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, fourier: Fourier, w_dim: int) -> None:
        super().__init__()
        self.fourier = fourier
        self.weight = nn.Parameter(torch.zeros(fourier.channels, fourier.channels))
        self.affine = FullyConnected(w_dim, AFFINE_FEATURES)
        self.register_buffer("transform", torch.zeros(3, 3))
        self.register_buffer("freqs", torch.zeros(fourier.channels, 2))
        self.register_buffer("phases", torch.zeros(fourier.channels))

    def forward(self, w: Tensor, transform: Tensor) -> Tensor:
        """w [N, w_dim], transform [N or 1, 3, 3] -> [N, C, size, size]."""
        matrix = self.motion(w) @ transform  # [N, 3, 3]
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)  # [N, C]
        freqs = self.freqs @ matrix[:, :2, :2]  # [N, C, 2]
        nyquist, bandwidth = self.fourier.sampling_rate / 2, self.fourier.bandwidth
        beyond = (freqs.norm(dim=2) - bandwidth) / (nyquist - bandwidth)
        amplitudes = (1 - beyond).clamp(0, 1)  # [N, C]
        line = sample_points(self.fourier).to(w)
        x, y = line[None, :], line[:, None]  # columns are x, rows are y
        angles = freqs[..., 0, None, None] * x + freqs[..., 1, None, None] * y + phases[..., None, None]
        features = torch.sin(angles * (2 * math.pi)) * amplitudes[..., None, None]  # [N, C, size, size]
        mix = self.weight / math.sqrt(self.fourier.channels)
        return torch.einsum("oc,nchw->nohw", mix, features)

    def motion(self, w: Tensor) -> Tensor:
        """Each style's turn after its shift, [N, 3, 3]: the inverse of how the picture moves."""
        values = self.affine(w)
        cos, sin, dx, dy = (values / values[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        zero, one = torch.zeros_like(cos), torch.ones_like(cos)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).reshape(-1, 3, 3)
        shift = torch.stack([one, zero, -dx, zero, one, -dy, zero, zero, one], dim=1).reshape(-1, 3, 3)
        return turn @ shift


def sample_points(fourier: Fourier) -> Tensor:
    """Where the input is sampled along each axis, in image widths from the centre: float64 [size]."""
    centres = torch.arange(fourier.size, dtype=torch.float64) + 0.5
    return (centres - fourier.size / 2) / fourier.sampling_rate


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, and leaky ReLU between up- and down-sampling (section 3.1); or toRGB."""

    up_filter: Tensor
    down_filter: Tensor
    magnitude_ema: Tensor

    def __init__(self, layer: FilteredLayer, w_dim: int, network: StyleGAN3Spec) -> None:
        super().__init__()
        self.layer, self.clamp = layer, network.conv_clamp
        self.is_rgb = layer is network.filtered[-1]
        self.demodulate, self.slope = not self.is_rgb, LEAKY_SLOPE  # a suspected layer is tried with others
        kernel = network.kernel_of(layer)
        self.weight = nn.Parameter(torch.zeros(layer.out_channels, layer.in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(layer.out_channels))
        self.affine = FullyConnected(w_dim, layer.in_channels)
        self.register_buffer("magnitude_ema", torch.zeros(()))
        if layer.up_taps > 1:
            self.register_buffer("up_filter", torch.zeros(layer.up_taps))
        if layer.down_taps > 1:
            self.register_buffer("down_filter", torch.zeros((layer.down_taps,) * (2 if layer.radial else 1)))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, in, H, W], w [N, w_dim] -> [N, out, H', W']."""
        return self._activate(self._convolve(x, self.affine(w)) + self.bias[:, None, None])

    def _activate(self, x: Tensor) -> Tensor:
        """The filtered nonlinearity, a few channels at a time: between the filters are up to 16 times the pixels."""
        return torch.cat([self._activate_together(part) for part in torch.split(x, CHANNELS_AT_ONCE, dim=1)], dim=1)

    def _activate_together(self, x: Tensor) -> Tensor:
        """The filtered nonlinearity of some channels: [N, C, H, W] -> [N, C, H', W']."""
        x = self._upsample(x)
        if not self.is_rgb:
            x = functional.leaky_relu(x, self.slope) * ACTIVATION_GAIN
        if self.clamp is not None:
            x = x.clamp(-self.clamp, self.clamp)
        return filter_and_stride(x, self.down_filter, self.layer.down) if self.layer.down_taps > 1 else x

    def _convolve(self, x: Tensor, style: Tensor) -> Tensor:
        """Full convolution (it grows by kernel - 1) with weights scaled by each sample's style (appendix C)."""
        batch, inputs, height, width = x.shape
        outputs, _, kernel, _ = self.weight.shape
        if self.is_rgb:
            modulated = self.weight[None] * (style / math.sqrt(inputs * kernel**2))[:, None, :, None, None]
        else:
            weight = self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
            modulated = weight[None] * style[:, None, :, None, None]  # [N, out, in, k, k]
            if self.demodulate:
                modulated = modulated * (modulated.square().sum(dim=(2, 3, 4), keepdim=True) + EPSILON).rsqrt()
        modulated = modulated * self.magnitude_ema.rsqrt()
        x = x.reshape(1, batch * inputs, height, width)  # one group a sample
        modulated = modulated.reshape(batch * outputs, inputs, kernel, kernel)
        x = functional.conv2d(x, modulated, padding=kernel - 1, groups=batch)
        return x.reshape(batch, outputs, *x.shape[2:])

    def _upsample(self, x: Tensor) -> Tensor:
        """Zero insertion, padding (or cropping), and the filter with the gain that zero insertion takes away."""
        layer = self.layer
        if layer.up_taps > 1:
            return upsample_padded(x, self.up_filter * layer.up, layer.up, layer.padding)
        return functional.pad(x, layer.padding * 2)  # without a filter the factor is 1


class Synthesis(ReferenceSynthesis):
    """The Fourier features and all layers."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.network = cast(StyleGAN3Spec, spec.synthesis)
        self.input = FourierInput(self.network.fourier, spec.w_dim)
        for layer in self.network.filtered:
            self.add_module(layer.name, SynthesisLayer(layer, spec.w_dim, self.network))

    def stored_transform(self) -> Tensor:
        """The checkpoint's own transform [3, 3]: the identity, unless somebody left another."""
        return self.input.transform

    def draw(self, ws: Tensor, noise: list[Tensor] | None, transform: Tensor | None) -> Tensor:
        """ws [N, num_ws, w_dim], transform [N or 1, 3, 3] -> image [N, img_channels, H, W]."""
        assert transform is not None
        x = mark("input", self.input(ws[:, 0], transform))
        for row, layer in enumerate(self.network.filtered, start=1):
            x = self.get_submodule(layer.name)(x, ws[:, row])
            x = mark(layer.name, x * self.network.output_scale if layer is self.network.filtered[-1] else x)
        return x


class Generator(ReferenceNetwork):
    """The whole generator: `mapping`, `truncate`, `synthesis`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec, Synthesis(spec))
