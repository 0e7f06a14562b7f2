"""The StyleGAN reference: the synthesis network of arXiv 1812.04948 with progressive growing, in plain PyTorch.

Written for reading and for exactness; any floating-point type. N is the batch, C a layer's width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Weights
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.base import ReferenceNetwork, ReferenceSynthesis
from exporter.networks.fir import filter_image, filter_kernel
from exporter.networks.mapping import LEAKY_SLOPE
from exporter.networks.marks import mark
from runtime.spec import GeneratorSpec, Layer, LayerKind, StyleGAN1Spec


def repeat_pixels(x: Tensor, factor: int) -> Tensor:
    """Nearest-neighbour up-sampling: [N, C, H, W] -> [N, C, factor * H, factor * W]."""
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def blur(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate each channel with `kernel` [T, T]; zeros beyond the border."""
    taps = kernel.shape[-1]
    return filter_image(x, kernel.flip(0, 1), (taps - 1) // 2, taps // 2)


def instance_norm(x: Tensor, epsilon: float) -> Tensor:
    """Each channel of each sample to mean 0 and variance 1: [N, C, H, W] -> the same."""
    x = x - x.mean(dim=(2, 3), keepdim=True)
    return x * (x.square().mean(dim=(2, 3), keepdim=True) + epsilon).rsqrt()


class StyledLayer(nn.Module):
    """Convolution (but at the constant), noise, bias, leaky ReLU, adaptive instance normalisation (equation 1)."""

    noise_const: Tensor
    kernel: Tensor

    def __init__(self, layer: Layer, w_dim: int, network: StyleGAN1Spec) -> None:
        super().__init__()
        self.layer, self.network = layer, network
        self.slope = LEAKY_SLOPE  # a layer that is suspected of another is tried with it
        width = layer.out_channels
        if layer.kind is LayerKind.CONV:
            self.weight = nn.Parameter(torch.zeros(width, layer.in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(width))
        self.style = nn.Linear(w_dim, 2 * width)
        self.register_buffer("kernel", filter_kernel(network.blur_filter, gain=1), persistent=False)
        if layer.noise is not None:
            self.noise_weight = nn.Parameter(torch.zeros(width))
            if not network.noise_per_block:
                self.register_buffer("noise_const", torch.zeros(layer.out_size, layer.out_size))

    @torch.no_grad()
    def fold_rates(self) -> None:
        """Multiply the equalised learning rates into the weights."""
        rates, layer = self.network.rates, self.layer
        if layer.kind is LayerKind.CONV:
            self.weight.mul_(rates.conv / math.sqrt(layer.in_channels * 9))
        self.style.weight.mul_(rates.style / math.sqrt(self.style.in_features))
        if layer.noise is not None and rates.noise is not None:
            self.noise_weight.mul_(rates.noise / math.sqrt(layer.out_channels))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, in, H, W], w [N, w_dim], noise [N or 1, 1, H', W'] or None -> [N, C, H', W']."""
        bias = self.bias[:, None, None]
        if self.layer.kind is LayerKind.CONV:
            x = repeat_pixels(x, 2) if self.layer.up else x
            x = functional.conv2d(x, self.weight, padding=1)
        if self.network.bias_before_blur:
            x = x + bias
        if self.layer.up:
            x = blur(x, self.kernel)
        if noise is not None:
            x = x + noise * self.noise_weight[:, None, None]
        if not self.network.bias_before_blur:
            x = x + bias
        x = instance_norm(functional.leaky_relu(x, self.slope), self.network.norm_epsilon)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)  # [N, C, 1, 1] each
        return x * (scale + self.network.style_offset) + shift


class ToRGB(nn.Module):
    """1x1 convolution and bias: [N, in, H, W] -> [N, img_channels, H, W]."""

    def __init__(self, layer: Layer, network: StyleGAN1Spec) -> None:
        super().__init__()
        self.gain = network.rates.rgb / math.sqrt(layer.in_channels)
        self.weight = nn.Parameter(torch.zeros(layer.out_channels, layer.in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(layer.out_channels))

    @torch.no_grad()
    def fold_rates(self) -> None:
        """Multiply the equalised learning rate into the weight."""
        self.weight.mul_(self.gain)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, img_channels, H, W]."""
        return functional.conv2d(x, self.weight, self.bias)


class SynthesisBlock(nn.Module):
    """All layers of one resolution."""

    const: Tensor
    noise_const: Tensor

    def __init__(self, layers: list[Layer], spec: GeneratorSpec) -> None:
        super().__init__()
        network, first = _network(spec), layers[0]
        if first.kind is LayerKind.INPUT:
            self.const = nn.Parameter(torch.zeros(first.out_channels, 4, 4))
        if network.use_noise and network.noise_per_block:
            self.register_buffer("noise_const", torch.zeros(first.out_size, first.out_size))
        for layer in layers:
            name = layer.name.split(".")[1]
            rgb = layer.kind is LayerKind.TO_RGB
            self.add_module(name, ToRGB(layer, network) if rgb else StyledLayer(layer, spec.w_dim, network))


class Synthesis(ReferenceSynthesis):
    """All blocks; only those of the specification's level of detail are drawn."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.network = _network(spec)
        stored = self.network.all_layers(spec.img_channels)
        for resolution in self.network.resolutions:
            layers = [layer for layer in stored if layer.out_size == resolution]
            self.add_module(f"b{resolution}", SynthesisBlock(layers, spec))

    def draw(self, ws: Tensor, noise: list[Tensor] | None, transform: Tensor | None) -> Tensor:
        """ws [N, num_ws, w_dim], noise [N or 1, 1, H, W] -> image [N, img_channels, H, W]."""
        x = self.get_parameter("b4.const").expand(ws.shape[0], -1, -1, -1)
        images = []
        for layer in self.spec.layers:
            module = self.get_submodule(layer.name)
            if layer.kind is LayerKind.TO_RGB:
                images.append(mark(layer.name, module(x)))
            else:
                given = None if noise is None or layer.noise is None else noise[layer.noise]
                x = mark(layer.name, module(x, ws[:, layer.style], given))
        image = images[-1]
        if self.network.fade:
            below = repeat_pixels(images[-2], 2)
            image = image + (below - image) * self.network.fade
        return repeat_pixels(image, self.network.resolution // image.shape[-1])


class Generator(ReferenceNetwork):
    """The whole generator: `mapping`, `truncate`, `synthesis`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec, Synthesis(spec))

    def load(self, weights: Weights[str, Tensor]) -> None:
        """Take a checkpoint's weights and fold the equalised learning rates into them."""
        super().load(weights)
        for module in self.synthesis.modules():
            if isinstance(module, (StyledLayer, ToRGB)):
                module.fold_rates()


def _network(spec: GeneratorSpec) -> StyleGAN1Spec:
    return cast(StyleGAN1Spec, spec.synthesis)
