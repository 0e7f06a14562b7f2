"""The StyleGAN2 reference: mapping and synthesis networks as the papers describe them, in plain PyTorch.

Written for reading and for exactness: per-sample weights, zero insertion, no custom kernels; any floating-point type.
Papers: StyleGAN2 (arXiv 1912.04958), its configuration in StyleGAN2-ADA (arXiv 2006.06676). N is the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.fir import filter_image, filter_kernel, transposed_conv_padding, upsample
from runtime.noise import Noise, resolve_noise
from runtime.spec import Architecture, GeneratorSpec, LayerKind, MappingSpec, StyledLayer, StyleGAN2Spec

EPSILON = 1e-8
"""Added under both square roots: second-moment normalisation and demodulation."""
LEAKY_SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2)
"""Restores the variance that leaky ReLU takes away."""
RESNET_GAIN = math.sqrt(0.5)
"""Scales both branches of a residual block, so that their sum keeps its variance."""


def normalize_second_moment(x: Tensor) -> Tensor:
    """Scale each row of [N, features] to a root mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate (arXiv 1710.10196, section 4.1): [N, in] -> [N, out]."""

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] -> [N, out]."""
        return functional.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


class Mapping(nn.Module):
    """`z` [N, z_dim] and label `c` [N, c_dim] -> `w` [N, w_dim] (arXiv 1812.04948, section 2)."""

    w_avg: Tensor

    def __init__(self, spec: MappingSpec) -> None:
        super().__init__()
        self.spec = spec
        if spec.c_dim:
            self.embed = FullyConnected(spec.c_dim, spec.embed_features)
        widths = (spec.z_dim + spec.embed_features, *spec.features)
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"fc{index}", FullyConnected(inputs, outputs, spec.lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(spec.w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Labels are one-hot or soft; needed exactly where c_dim > 0."""
        x = normalize_second_moment(z)  # [N, z_dim]
        if self.spec.c_dim:
            if c is None:
                raise ValueError(f"this generator is conditional: it needs a label c [N, {self.spec.c_dim}]")
            # z and the embedded label are normalised separately (StyleGAN2-ADA, appendix C).
            x = torch.cat([x, normalize_second_moment(self.embed(c))], dim=1)  # [N, z_dim + embed]
        for index in range(len(self.spec.features)):
            x = functional.leaky_relu(self.get_submodule(f"fc{index}")(x), LEAKY_SLOPE) * ACTIVATION_GAIN
        return x


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

    def __init__(self, layer: StyledLayer, w_dim: int, network: StyleGAN2Spec, gain: float = 1.0) -> None:
        super().__init__()
        self.up = layer.up
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
            self.register_buffer("noise_const", torch.zeros(layer.resolution, layer.resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, in, H, W], w [N, w_dim], noise [N or 1, 1, H', W'] or None -> [N, out, H', W']."""
        x = modulated_conv(x, self.weight * self.weight_gain, self.affine(w), True, self.up, self.kernel)
        if noise is not None:
            x = x + noise * self.noise_strength
        x = x + self.bias[:, None, None]
        x = functional.leaky_relu(x, LEAKY_SLOPE) * (ACTIVATION_GAIN * self.gain)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, bias, clamp: [N, in, H, W] -> [N, img_channels, H, W]."""

    def __init__(self, layer: StyledLayer, w_dim: int, network: StyleGAN2Spec) -> None:
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

    def __init__(self, layers: Sequence[StyledLayer], spec: GeneratorSpec) -> None:
        super().__init__()
        network, first = spec.synthesis, layers[0]
        self.layers = tuple(layers)
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
            module, w = self.get_submodule(layer.name.split(".")[1]), ws[:, layer.style]
            if layer.kind is LayerKind.TO_RGB:
                if shortcut is not None:
                    x = x + shortcut
                    shortcut = None
                rgb = module(x, w)
                image = rgb if image is None else image + rgb
            else:
                x = module(x, w, None if noise is None or layer.noise is None else noise[layer.noise])
        return (x if shortcut is None else x + shortcut), image


class Synthesis(nn.Module):
    """`ws` [N, num_ws, w_dim] and noise -> image [N, img_channels, H, W], nominally in [-1, 1]."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        for resolution in spec.synthesis.resolutions:
            layers = [layer for layer in spec.layers if layer.resolution == resolution]
            self.add_module(f"b{resolution}", SynthesisBlock(layers, spec))

    def stored_noise(self) -> list[Tensor]:
        """The checkpoint's own noise buffers [H, W], in synthesis order."""
        return [self.get_buffer(f"{layer.name}.noise_const") for layer in self.spec.layers if layer.noise is not None]

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """`noise` takes the forms of `Generator.synthesize`; a list may hold tensors of any floating-point type."""
        maps = self._noise_tensors(noise, ws)
        x = image = None
        for resolution in self.spec.synthesis.resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image, ws, maps)
        assert image is not None
        return image

    def _noise_tensors(self, noise: Noise, like: Tensor) -> list[Tensor] | None:
        if isinstance(noise, str) and noise == "const":
            return [buffer[None, None] for buffer in self.stored_noise()]
        if isinstance(noise, (list, tuple)) and all(isinstance(item, Tensor) for item in noise):
            return [item.to(like) for item in noise]
        arrays = resolve_noise(self.spec, noise, None)
        return None if arrays is None else [torch.from_numpy(array).to(like) for array in arrays]


class Generator(nn.Module):
    """The whole generator: `mapping`, `truncate`, `synthesis`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.mapping = Mapping(spec.mapping)
        self.synthesis = Synthesis(spec)

    def truncate(self, w: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """`w` [N, w_dim] -> `ws` [N, num_ws, w_dim]: moved towards the mean on the first `cutoff` rows (None: all)."""
        ws = w[:, None].repeat(1, self.spec.num_ws, 1)
        if psi == 1:
            return ws
        rows = self.spec.num_ws if cutoff is None else cutoff
        mean = self.mapping.w_avg
        ws[:, :rows] = mean + psi * (ws[:, :rows] - mean)
        return ws
