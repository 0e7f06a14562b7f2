"""The StyleGAN2 reference: the synthesis network as the papers describe it, in plain PyTorch.

Written for reading and for exactness: per-sample weights, zero insertion, no custom kernels; any floating-point type.
Papers: StyleGAN2 (arXiv 1912.04958), its configuration in StyleGAN2-ADA (arXiv 2006.06676). N is the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.base import ReferenceNetwork, ReferenceSynthesis
from exporter.networks.fir import filter_image, filter_kernel, transposed_conv_padding, upsample
from exporter.networks.mapping import EPSILON, LEAKY_SLOPE, FullyConnected
from exporter.networks.marks import mark
from runtime.spec import Architecture, GeneratorSpec, Layer, LayerKind, StyleGAN2Spec
from runtime.spec.stylegan2 import image_output, sum_output

ACTIVATION_GAIN = math.sqrt(2)
"""Restores the variance that leaky ReLU takes away."""
RESNET_GAIN = math.sqrt(0.5)
"""Scales both branches of a residual block, so that their sum keeps its variance."""


def modulated_conv(
    x: Tensor, weight: Tensor, style: Tensor, demodulate: bool, up: bool = False, kernel: Tensor | None = None
) -> Tensor:
    """Convolution with weights scaled by each sample's style (arXiv 1912.04958, equations 1 and 3).

    x [N, in, H, W], weight [out, in, k, k], style [N, in] -> [N, out, H, W], or [N, out, 2H, 2W] with `up`, where the
    FIR filter `kernel` follows the transposed convolution.
    """
    batch, inputs, height, width = x.shape
    outputs, _, size, _ = weight.shape
    modulated = weight[None] * style[:, None, :, None, None]  # [N, out, in, k, k]
    if demodulate:
        modulated = modulated * (modulated.square().sum(dim=(2, 3, 4), keepdim=True) + EPSILON).rsqrt()
    x = x.reshape(1, batch * inputs, height, width)  # one group a sample
    if not up:
        modulated = modulated.reshape(batch * outputs, inputs, size, size)
        return functional.conv2d(x, modulated, padding=size // 2, groups=batch).reshape(batch, outputs, height, width)
    assert kernel is not None
    modulated = modulated.transpose(1, 2).reshape(batch * inputs, outputs, size, size)
    x = functional.conv_transpose2d(x, modulated, stride=2, groups=batch)
    x = x.reshape(batch, outputs, *x.shape[2:])  # [N, out, 2H + 1, 2W + 1]
    return filter_image(x, kernel, *transposed_conv_padding(kernel.shape[-1]))


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU, clamp."""

    noise_const: Tensor
    kernel: Tensor

    def __init__(self, layer: Layer, w_dim: int, network: StyleGAN2Spec, gain: float = 1.0) -> None:
        super().__init__()
        self.up = layer.up
        self.demodulate, self.slope = True, LEAKY_SLOPE  # a suspected layer is tried with others
        self.gain = gain
        self.clamp = None if network.conv_clamp is None else network.conv_clamp * gain
        fan_in = layer.in_channels * 9
        self.weight_gain = 1 / math.sqrt(fan_in) if network.scaled_demodulation else 1.0
        self.weight = nn.Parameter(torch.zeros(layer.out_channels, layer.in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(layer.out_channels))
        self.affine = FullyConnected(w_dim, layer.in_channels)
        self.register_buffer("kernel", filter_kernel(network.resample_filter), persistent=False)
        if layer.noise is not None:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise_const", torch.zeros(layer.out_size, layer.out_size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, in, H, W], w [N, w_dim], noise [N or 1, 1, H', W'] or None -> [N, out, H', W']."""
        x = modulated_conv(x, self.weight * self.weight_gain, self.affine(w), self.demodulate, self.up, self.kernel)
        if noise is not None:
            x = x + noise * self.noise_strength
        x = x + self.bias[:, None, None]
        x = functional.leaky_relu(x, self.slope) * (ACTIVATION_GAIN * self.gain)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, bias, clamp: [N, in, H, W] -> [N, img_channels, H, W]."""

    def __init__(self, layer: Layer, w_dim: int, network: StyleGAN2Spec) -> None:
        super().__init__()
        self.clamp = network.conv_clamp
        self.style_gain = 1 / math.sqrt(layer.in_channels)
        self.weight = nn.Parameter(torch.zeros(layer.out_channels, layer.in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(layer.out_channels))
        self.affine = FullyConnected(w_dim, layer.in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, in, H, W], w [N, w_dim] -> [N, img_channels, H, W]."""
        x = modulated_conv(x, self.weight, self.affine(w) * self.style_gain, demodulate=False)
        x = x + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Skip(nn.Module):
    """The shortcut of a residual block: 1x1 convolution, then FIR up-sampling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, 1, 1))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, 2H, 2W]."""
        return upsample(functional.conv2d(x, self.weight * self.weight_gain), kernel)


class SynthesisBlock(nn.Module):
    """All layers of one resolution (arXiv 1912.04958, figures 2 and 7)."""

    kernel: Tensor

    def __init__(self, layers: Sequence[Layer], spec: GeneratorSpec) -> None:
        super().__init__()
        network, first = _network(spec), layers[0]
        self.layers = tuple(layers)
        self.convs = [layer for layer in layers if layer.kind is LayerKind.CONV]
        self.residual = network.architecture is Architecture.RESNET and first.up
        self.register_buffer("kernel", filter_kernel(network.resample_filter), persistent=False)
        if not first.up:
            self.const = nn.Parameter(torch.zeros(first.in_channels, 4, 4))
        if self.residual:
            self.skip = Skip(first.in_channels, first.out_channels)
        for layer in layers:
            name = layer.name.split(".")[1]
            if layer.kind is LayerKind.TO_RGB:
                self.add_module(name, ToRGB(layer, spec.w_dim, network))
            else:
                gain = RESNET_GAIN if self.residual and name == "conv1" else 1.0
                self.add_module(name, SynthesisLayer(layer, spec.w_dim, network, gain))

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """x [N, C, H/2, W/2], image [N, img_channels, H/2, W/2] -> both at [H, W]; None before the first block."""
        if x is None:
            x = self.const.expand(ws.shape[0], -1, -1, -1)
        shortcut = self.skip(x, self.kernel) * RESNET_GAIN if self.residual else None
        if image is not None:
            image = upsample(image, self.kernel)
        for layer in self.layers:
            assert layer.style is not None
            module, w = self.get_submodule(layer.name.split(".")[1]), ws[:, layer.style]
            if layer.kind is LayerKind.TO_RGB:
                rgb = mark(layer.name, module(x, w))
                image = rgb if image is None else mark(image_output(layer), image + rgb)
                continue
            x = mark(layer.name, module(x, w, None if noise is None or layer.noise is None else noise[layer.noise]))
            if shortcut is not None and layer is self.convs[-1]:
                x = mark(sum_output(layer), x + shortcut)
        return x, image


class Synthesis(ReferenceSynthesis):
    """All blocks."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.network = _network(spec)
        for resolution in self.network.resolutions:
            layers = [layer for layer in spec.layers if layer.out_size == resolution]
            self.add_module(f"b{resolution}", SynthesisBlock(layers, spec))

    def draw(self, ws: Tensor, noise: list[Tensor] | None, transform: Tensor | None) -> Tensor:
        """ws [N, num_ws, w_dim], noise [N or 1, 1, H, W] a convolution -> image [N, img_channels, H, W]."""
        x = image = None
        for resolution in self.network.resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image, ws, noise)
        assert image is not None
        return image


class Generator(ReferenceNetwork):
    """The whole generator: `mapping`, `truncate`, `synthesis`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec, Synthesis(spec))


def _network(spec: GeneratorSpec) -> StyleGAN2Spec:
    return cast(StyleGAN2Spec, spec.synthesis)
