"""StyleGAN2 in the form that is exported: the reference's function, rewritten exactly for constant weights.

- A modulated convolution is `d * Conv(x * s, W)` with `d = rsqrt(sum (W s)^2 + eps)` (arXiv 1912.04958, equation 3,
  with the style moved from the weights to the input): weights stay constant and the batch stays free.
- Leaky ReLU is positively homogeneous, so its gain folds into `d`, the bias and the noise strength.
- All layers' styles come from one batched matrix product, and so do all layers' demodulation coefficients.

Constants are computed in float64 and rounded to float32 once. Names: N batch, L styled layers, C largest width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.deploy.common import (
    Activations,
    DeploySynthesis,
    Form,
    StackedAffine,
    StyleMixer,
    Weights,
    constant,
    float64,
    layer_products,
    split_layers,
)
from exporter.networks.deploy.cost_model import choose_form
from exporter.networks.deploy.half import unit_styles
from exporter.networks.deploy.passes import Pass
from exporter.networks.deploy.up import up_convolution
from exporter.networks.mapping import EPSILON, LEAKY_SLOPE
from exporter.networks.marks import mark
from exporter.networks.stylegan2 import ACTIVATION_GAIN, RESNET_GAIN
from runtime.spec import Architecture, GeneratorSpec, Layer, LayerKind, StyleGAN2Spec
from runtime.spec.stylegan2 import image_output, sum_output
from runtime.up_forms import UP, UpForm


@dataclass(frozen=True)
class Styles:
    """By layer name: style s [N, in, 1, 1], a convolution's d [N, out, 1, 1], and what s was divided by [N, 1, 1, 1].

    Nothing was divided, and the last is empty, in float32.
    """

    scales: dict[str, Tensor]
    demodulations: dict[str, Tensor]
    norms: dict[str, Tensor]


class StyleBank(nn.Module):
    """Layer rows [N, L, w_dim] -> all layers' styles.

    Convolutions come first among the layers: two batched matrix products make all styles and coefficients. `kernels`
    holds each convolution's weight [out, in, k, k] as it is convolved with, and what its channels were divided by.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        layers: Sequence[Layer],
        gains: Mapping[str, float],
        affines: Sequence[tuple[np.ndarray, np.ndarray]],
        kernels: Mapping[str, tuple[np.ndarray, np.ndarray]],
        unit: bool,
        batched: bool,
    ) -> None:
        super().__init__()
        self.layers, self.unit, self.batched = layers, unit, batched
        self.convs = [layer for layer in layers if layer.kind is LayerKind.CONV]
        self.width = max(max(layer.in_channels, layer.out_channels) for layer in layers)
        self.affine = StackedAffine(affines, self.width, batched)
        energy = np.zeros((len(self.convs), self.width, self.width))
        epsilon = np.zeros((len(self.convs), 1, self.width if unit else 1))
        for index, layer in enumerate(self.convs):
            kernel, norm = kernels[layer.name]
            gain = gains[layer.name]  # of the activation: d * gain = rsqrt((energy + eps) / gain^2)
            energy[index, : layer.in_channels, : layer.out_channels] = (kernel**2).sum(axis=(2, 3)).T / gain**2
            epsilon[index] = EPSILON * demodulation_scale(spec, layer) ** 2 / gain**2
            if unit:
                epsilon[index, 0, : layer.out_channels] /= norm**2
        self.register_buffer("energy", constant(energy))
        self.register_buffer("epsilon", constant(epsilon))
        if unit:
            widths = np.array([layer.in_channels for layer in layers])
            self.register_buffer("inverse_widths", constant(1 / widths[:, None, None]))

    def forward(self, rows: Tensor) -> Styles:
        """Each layer's style. With `unit`, d = rsqrt(sum (W s)^2 / |s|^2 + eps / |s|^2): the norm is in it."""
        styles, epsilon, norms = self.affine(rows), self.get_buffer("epsilon"), {}
        if self.unit:
            styles, norm = unit_styles(styles, self.get_buffer("inverse_widths"))
            inverse = 1 / norm[:, : len(self.convs)]
            epsilon = epsilon * (inverse * inverse)
            norms = split_layers(norm, [{layer.name: 1} for layer in self.layers], 1)
        convs = styles[:, : len(self.convs)]  # [N, convs, 1, C]
        scales = split_layers(styles, [{layer.name: layer.in_channels} for layer in self.layers], self.width)
        if not self.convs:
            return Styles(scales, {}, norms)
        energy = layer_products(convs * convs, self.get_buffer("energy"), self.batched) + epsilon
        widths = [{layer.name: layer.out_channels} for layer in self.convs]
        return Styles(scales, split_layers(torch.rsqrt(energy), widths, self.width), norms)


def demodulation_scale(spec: GeneratorSpec, layer: Layer) -> float:
    """What a network that scales weights before demodulation multiplies its epsilon by, relative to raw weights."""
    return math.sqrt(layer.in_channels * 9) if _network(spec).scaled_demodulation else 1.0


class DeployStyleGAN2(DeploySynthesis):
    """A StyleGAN2 synthesis network."""

    def __init__(self, spec: GeneratorSpec, weights: Weights, form: Form) -> None:
        super().__init__(spec, weights, form)
        self.network = _network(spec)
        self.layers = sorted(self.drawn, key=lambda layer: layer.kind is LayerKind.TO_RGB)  # stable: convolutions first
        free = [layer for layer in self.layers if layer.style not in self.fixed]
        self.products = self._rgb_products()
        self.mixer = StyleMixer([layer.style for layer in free if layer.style is not None], self.mask)
        gains = {layer.name: self._folded_gain(layer) for layer in self.layers}
        kernels = {layer.name: self._kernel(layer, gains[layer.name]) for layer in self.layers}
        affines = [self.affine_of(f"synthesis.{layer.name}") for layer in free]
        self.bank = StyleBank(spec, free, gains, affines, kernels, self.half_precision, Pass.STYLES in form.passes)
        if form.first == 0:
            self.register_buffer("const", self.narrow(constant(weights["synthesis.b4.const"])[None]))
        for layer in self.layers:
            self._add_layer(layer, weights, gains[layer.name], *kernels[layer.name])
        self._add_filters(weights)

    def _gain(self, layer: Layer) -> float:
        """Gain of a layer's activation, which a residual block's second convolution takes part of back."""
        residual = self.network.architecture is Architecture.RESNET and layer.out_size > 4
        return ACTIVATION_GAIN * (RESNET_GAIN if residual and layer.name.endswith("conv1") else 1.0)

    def _folded_gain(self, layer: Layer) -> float:
        """The part of the gain that is in constants before the activation."""
        return self._gain(layer) if self.folds_gain else 1.0

    def _kernel(self, layer: Layer, gain: float) -> tuple[np.ndarray, np.ndarray]:
        """A layer's weight [out, in, k, k] as it is convolved with, and what its channels were divided by [out].

        Where its style is fixed, that and the demodulation are in it.
        """
        weight = float64(self.weights, f"synthesis.{layer.name}.weight")
        if layer.kind is LayerKind.TO_RGB:
            weight = weight / math.sqrt(layer.in_channels)
        if layer.style in self.fixed:
            weight = weight * self.fixed_style(f"synthesis.{layer.name}", layer.style)[:, None, None]
            if layer.kind is LayerKind.CONV:
                epsilon = EPSILON * demodulation_scale(self.spec, layer) ** 2
                weight = weight * (gain / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + epsilon))
        return self.normalized(weight)

    def _add_layer(self, layer: Layer, weights: Weights, gain: float, kernel: np.ndarray, norm: np.ndarray) -> None:
        key, name = layer.name.replace(".", "_"), f"synthesis.{layer.name}"
        bias = float64(weights, f"{name}.bias")
        if layer.up:
            self.add_module(f"{key}_up", self._up_convolution(layer, kernel))
        elif layer.name in self.products:
            # float32 in float16 too: the product with the style is rounded, not each of them.
            self.register_buffer(f"{key}_weight", constant(kernel[:, :, 0, 0]))
        else:
            self.register_buffer(f"{key}_weight", self.kernel(kernel))
        if self.half_precision and (layer.kind is LayerKind.TO_RGB or layer.style in self.fixed):
            self.register_buffer(f"{key}_norm", constant(norm[:, None, None]))
        if layer.kind is LayerKind.TO_RGB:
            as_map = self.half_precision or layer.name in self.products
            self.register_buffer(f"{key}_bias", constant(bias[:, None, None] if as_map else bias))
            return
        self.register_buffer(f"{key}_bias", constant(bias[:, None, None] * gain))
        if layer.noise is not None:
            self.add_noise_constants(key, f"{name}.noise_const", float64(weights, f"{name}.noise_strength") * gain)

    def _rgb_products(self) -> set[str]:
        """The toRGB layers that are batched products: an image's own weights times an image's own activations.

        Before the first free convolution that it holds, a graph's images may share their activations, which a batched
        product can't take.
        """
        found, own = set(), False
        for layer in self.drawn if Pass.RGB in self.form.passes else ():
            free = layer.style not in self.fixed
            if layer.kind is LayerKind.TO_RGB and free and own:
                found.add(layer.name)
            own = own or (free and layer.kind is LayerKind.CONV)
        return found

    def _up_convolution(self, layer: Layer, kernel: np.ndarray) -> nn.Module:
        taps, side, form = np.asarray(self.network.resample_filter) * UP, layer.out_size // UP, self.form.up
        if form is None:
            chooses = Pass.UP in self.form.passes or self.plain
            form = choose_form(self.form.target, kernel, taps, side, self.plain) if chooses else UpForm.TRANSPOSED
        return up_convolution(form, kernel, taps, side, self.kernel, Pass.PARTS in self.form.passes)

    def _add_filters(self, weights: Weights) -> None:
        """Depthwise filters of up-sampled images, a transposed convolution's kernel each."""
        taps = np.asarray(self.network.resample_filter)
        kernel = np.outer(taps, taps)[None, None] * UP**2
        if self.network.architecture is Architecture.SKIP:
            self.register_buffer("up_image", constant(np.repeat(kernel, self.spec.img_channels, axis=0)))
        if self.network.architecture is Architecture.RESNET:
            for inputs, outputs, side in self._shortcuts():
                weight = float64(weights, f"synthesis.b{side}.skip.weight") * (RESNET_GAIN / math.sqrt(inputs))
                weight, norm = self.normalized(weight)
                self.register_buffer(f"skip_{side}", self.kernel(weight))
                if self.half_precision:
                    self.register_buffer(f"skip_{side}_norm", constant(norm[:, None, None]))
                spread = np.repeat(kernel, outputs, axis=0)
                self.register_buffer(f"up_{outputs}", constant(spread) if self.plain else self.kernel(spread))

    def _shortcuts(self) -> list[tuple[int, int, int]]:
        network, begun = self.network, {layer.out_size for layer in self.drawn if layer.up}
        blocks = zip(network.channels, network.channels[1:], network.resolutions[1:])
        return [block for block in blocks if block[2] in begun]

    def through(
        self,
        at: Activations | None,
        styles: Tensor,
        noise: Sequence[Tensor] = (),
        transform: Tensor | None = None,
    ) -> Activations:
        """A shortcut is begun by a residual block's first layer, and ended by its second."""
        bank = self.bank(self.mixer(styles))
        at = Activations(self.get_buffer("const")) if at is None else at
        x, image, shortcut = at.x, at.rgb, at.shortcut
        for layer in self.drawn:
            key = layer.name.replace(".", "_")
            scale = bank.scales.get(layer.name)
            if layer.kind is LayerKind.TO_RGB:
                image = self._to_rgb(x, layer, scale, image, bank.norms.get(layer.name))
                continue
            scaled = self._scale(x, scale)
            if layer.up and self.network.architecture is Architecture.RESNET:
                shortcut = self._shortcut(x, layer)
            x = self._demodulate(
                self.widen(self._convolve(scaled, layer, key)), key, bank.demodulations.get(layer.name)
            )
            x = self._activate(self.with_noise(x, key, layer.noise, noise), layer, key)
            if shortcut is not None and layer.name.endswith("conv1"):
                x, shortcut = mark(layer.name, x) + shortcut, None
                x = mark(sum_output(layer), self.narrow(x))
            else:
                x = mark(layer.name, self.narrow(x, clamped=self.network.conv_clamp is not None))
        return Activations(x, image, shortcut)

    def finish(self, at: Activations) -> Tensor:
        """The sum of all RGB."""
        assert at.rgb is not None
        return at.rgb

    def _demodulate(self, x: Tensor, key: str, demodulation: Tensor | None) -> Tensor:
        """Nothing is left to do where the style is fixed, but in float16 what the weights were divided by."""
        if demodulation is not None:
            return x * demodulation
        return x * self.get_buffer(f"{key}_norm") if self.half_precision else x

    def _shortcut(self, x: Tensor, layer: Layer) -> Tensor:
        """The other way around a residual block."""
        shortcut = functional.conv2d(x, self.get_buffer(f"skip_{layer.out_size}"))
        if self.plain:
            shortcut = self.widen(shortcut)  # up-sampled by a transposed convolution
        shortcut = self._upsample(shortcut, self.get_buffer(f"up_{layer.out_channels}"))
        if not self.half_precision:
            return shortcut
        return self.widen(shortcut) * self.get_buffer(f"skip_{layer.out_size}_norm")

    def _scale(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """x * s; where the style is fixed, it is in the weights."""
        return x if scale is None else x * self.narrow(scale, clamped=True)

    def _convolve(self, x: Tensor, layer: Layer, key: str) -> Tensor:
        if layer.up:
            up: Tensor = self.get_submodule(f"{key}_up")(x)
            return up
        return functional.conv2d(x, self.get_buffer(f"{key}_weight"), padding=1)

    def _activate(self, x: Tensor, layer: Layer, key: str) -> Tensor:
        x = functional.leaky_relu(x + self.get_buffer(f"{key}_bias"), LEAKY_SLOPE)
        if not self.folds_gain:
            x = x * self._gain(layer)
        clamp = self.network.conv_clamp
        if clamp is None:
            return x
        clamp *= self._gain(layer) / ACTIVATION_GAIN
        return x.clamp(-clamp, clamp)

    def _to_rgb(
        self, x: Tensor, layer: Layer, scale: Tensor | None, image: Tensor | None, norm: Tensor | None
    ) -> Tensor:
        key = layer.name.replace(".", "_")
        bias = self.get_buffer(f"{key}_bias")
        rgb = self._rgb_product(x, key, scale) if layer.name in self.products else None
        if self.half_precision:
            own = self.get_buffer(f"{key}_norm")
            rgb = functional.conv2d(self._scale(x, scale), self.get_buffer(f"{key}_weight")) if rgb is None else rgb
            rgb = self.widen(rgb) * (own if norm is None else norm * own) + bias
        elif rgb is not None:
            rgb = rgb + bias
        else:
            rgb = functional.conv2d(self._scale(x, scale), self.get_buffer(f"{key}_weight"), bias)
        clamp = self.network.conv_clamp
        rgb = mark(layer.name, rgb if clamp is None else rgb.clamp(-clamp, clamp))
        if image is None:
            return rgb
        return mark(image_output(layer), self._upsample(image, self.get_buffer("up_image")) + rgb)

    def _rgb_product(self, x: Tensor, key: str, scale: Tensor | None) -> Tensor:
        """[N, img_channels, C], each image's own weights, times [N, C, pixels]."""
        assert scale is not None
        _, channels, height, width = x.shape
        weight = self.narrow(self.get_buffer(f"{key}_weight") * scale.squeeze(3).transpose(1, 2), clamped=True)
        # bmm: matmul would be traced with the batch as a constant.
        rgb = torch.bmm(weight, x.reshape(-1, channels, height * width))
        return rgb.reshape(-1, self.spec.img_channels, height, width)

    def _upsample(self, x: Tensor, kernel: Tensor) -> Tensor:
        """FIR up-sampling as one transposed depthwise convolution."""
        taps, side = kernel.shape[-1], x.shape[-1] * UP
        begin = taps - 1 - (taps + 1) // 2
        if 2 * begin == taps - 2:  # the same on both sides: the operator crops
            return functional.conv_transpose2d(x, kernel, stride=UP, padding=begin, groups=x.shape[1])
        return _crop(functional.conv_transpose2d(x, kernel, stride=UP, groups=x.shape[1]), begin, side)


def _crop(x: Tensor, begin: int, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    return x[:, :, begin : begin + side, begin : begin + side]


def _network(spec: GeneratorSpec) -> StyleGAN2Spec:
    return cast(StyleGAN2Spec, spec.synthesis)
