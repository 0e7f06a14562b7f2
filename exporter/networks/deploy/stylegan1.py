"""StyleGAN in the form that is exported: the reference's function, rewritten exactly.

- Repeating pixels and then convolving with a 3x3 kernel is one transposed convolution of stride 2 with a 4x4 kernel:
  the sum of four shifted copies (arXiv 1812.04948, and the progressive growing it builds on, arXiv 1710.10196).
- Equalised learning rates are folded into the weights, the style's offset into its bias, and a layer's bias into the
  convolution, or the blur, before it.
- All layers' styles come from one batched matrix product.

Constants are computed in float64 and rounded to float32 once. N is the batch, C a layer's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
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
    split_layers,
)
from exporter.networks.deploy.passes import Pass
from exporter.networks.deploy.up import UpConvolution
from exporter.networks.mapping import LEAKY_SLOPE
from exporter.networks.marks import mark
from runtime.spec import GeneratorSpec, Layer, LayerKind, StyleGAN1Spec
from runtime.up_forms import repeat_steps


class DeployStyleGAN1(DeploySynthesis):
    """A StyleGAN synthesis network at its specification's level of detail."""

    def __init__(self, spec: GeneratorSpec, weights: Weights, form: Form) -> None:
        super().__init__(spec, weights, form)
        self.network = cast(StyleGAN1Spec, spec.synthesis)
        self.styled = [layer for layer in self.drawn if layer.style is not None]
        self.free = [layer for layer in self.styled if layer.style not in self.fixed]
        self.mixer = StyleMixer([layer.style for layer in self.free if layer.style is not None], self.mask)
        self.width = 2 * max(layer.out_channels for layer in self.styled)
        self.affine = StackedAffine(
            [self._affine(layer) for layer in self.free], self.width, Pass.STYLES in form.passes
        )
        for layer in self.styled:
            if layer.style is not None and layer.style in self.fixed:
                weight, bias = self._affine(layer)
                style = (weight @ self.fixed[layer.style].astype(np.float64) + bias).reshape(2, 1, -1, 1, 1)
                for part, values in zip(("scale", "shift"), style):
                    self.register_buffer(f"{layer.name.replace('.', '_')}_{part}", constant(values))
        for layer in self.drawn:
            if layer.kind is LayerKind.TO_RGB:
                self._add_to_rgb(layer)
            else:
                self._add_styled(layer)
        repeat = self.network.resolution >> (self.network.drawn_blocks + 1)
        for factor in {2 if self.network.fade else 1, repeat} - {1}:
            self.register_buffer(f"ones_{factor}", constant(np.ones((1, 1, 1, factor, 1, factor))))

    def _affine(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Weight [2C, w_dim] and bias [2C] of a layer's style: what it multiplies by, then what it adds."""
        name = f"synthesis.{layer.name}.style"
        weight = float64(self.weights, f"{name}.weight") * (self.network.rates.style / math.sqrt(self.spec.w_dim))
        bias = float64(self.weights, f"{name}.bias")
        bias[: layer.out_channels] += self.network.style_offset
        return weight, bias

    def _add_styled(self, layer: Layer) -> None:
        key, name, rates = layer.name.replace(".", "_"), f"synthesis.{layer.name}", self.network.rates
        bias = float64(self.weights, f"{name}.bias")
        if layer.kind is LayerKind.INPUT:
            const = float64(self.weights, "synthesis.b4.const") + bias[:, None, None]
            self.register_buffer("const", constant(const[None]))
        else:
            weight = float64(self.weights, f"{name}.weight") * (rates.conv / math.sqrt(layer.in_channels * 9))
            weight, norm = self.normalized(weight)
            if layer.up and self.plain:
                steps = repeat_steps(repeating_kernel(weight).swapaxes(0, 1))
                self.add_module(f"{key}_up", UpConvolution(steps, self.kernel))
            else:
                self.register_buffer(f"{key}_weight", self.kernel(repeating_kernel(weight) if layer.up else weight))
            early = self.kernel(bias / norm) if self._bias_is_early(layer) else constant(bias[:, None, None])
            self.register_buffer(f"{key}_bias", early if self.half_precision else constant(bias))
            if self.half_precision:
                self.register_buffer(f"{key}_norm", constant(norm[:, None, None]))
        if layer.up:
            taps = np.asarray(self.network.blur_filter)
            kernel = np.broadcast_to(np.outer(taps, taps), (layer.out_channels, 1, len(taps), len(taps)))
            self.register_buffer(f"blur_{layer.out_channels}", self.kernel(kernel))
        if layer.noise is not None:
            strength = float64(self.weights, f"{name}.noise_weight")[:, None, None]
            if rates.noise is not None:
                strength = strength * (rates.noise / math.sqrt(layer.out_channels))
            self.add_noise_constants(key, self.network.noise_inputs[layer.noise].buffer, strength)

    def _add_to_rgb(self, layer: Layer) -> None:
        key, name = layer.name.replace(".", "_"), f"synthesis.{layer.name}"
        weight = float64(self.weights, f"{name}.weight") * (self.network.rates.rgb / math.sqrt(layer.in_channels))
        bias = float64(self.weights, f"{name}.bias")
        weight, norm = self.normalized(weight)
        self.register_buffer(f"{key}_weight", self.kernel(weight))
        self.register_buffer(f"{key}_bias", constant(bias[:, None, None] if self.half_precision else bias))
        if self.half_precision:
            self.register_buffer(f"{key}_norm", constant(norm[:, None, None]))

    def through(
        self,
        at: Activations | None,
        styles: Tensor,
        noise: Sequence[Tensor] = (),
        transform: Tensor | None = None,
    ) -> Activations:
        """RGB is of the highest resolution so far, with the one below faded in."""
        parts = [{f"{layer.name} {part}": layer.out_channels for part in ("scale", "shift")} for layer in self.free]
        split = split_layers(self.affine(self.mixer(styles)), parts, self.width)
        x, rgb = (self.get_buffer("const"), None) if at is None else (at.x, at.rgb)
        for layer in self.drawn:
            key = layer.name.replace(".", "_")
            if layer.kind is LayerKind.TO_RGB:
                rgb = self._fade_in(rgb, mark(layer.name, self._to_rgb(x, key)))
                continue
            if layer.kind is LayerKind.CONV:
                x = self._convolve(x, layer, key)
            x = functional.leaky_relu(self.with_noise(x, key, layer.noise, noise), LEAKY_SLOPE)
            if layer.style in self.fixed:
                scale, shift = self.get_buffer(f"{key}_scale"), self.get_buffer(f"{key}_shift")
            else:
                scale, shift = split[f"{layer.name} scale"], split[f"{layer.name} shift"]
            x = mark(layer.name, self.narrow(self._adapt(x, scale, shift)))
        return Activations(x, rgb)

    def _fade_in(self, below: Tensor | None, image: Tensor) -> Tensor:
        """An image with the one of the resolution below in it, where there is one."""
        if below is None:
            return image
        return image * (1 - self.network.fade) + self._repeat(below, 2) * self.network.fade

    def finish(self, at: Activations) -> Tensor:
        """Pixels repeated up to the full resolution."""
        assert at.rgb is not None
        return self._repeat(at.rgb, self.network.resolution // at.rgb.shape[-1])

    def _to_rgb(self, x: Tensor, key: str) -> Tensor:
        weight, bias = self.get_buffer(f"{key}_weight"), self.get_buffer(f"{key}_bias")
        if not self.half_precision:
            return functional.conv2d(x, weight, bias)
        return self.widen(functional.conv2d(x, weight)) * self.get_buffer(f"{key}_norm") + bias

    def _convolve(self, x: Tensor, layer: Layer, key: str) -> Tensor:
        """Convolution, blur where it raises the resolution, and bias."""
        bias, early = self.get_buffer(f"{key}_bias"), self._bias_is_early(layer)
        if not self.half_precision:
            return self._filter(x, layer, key, bias)
        x = self.widen(self._filter(x, layer, key, bias if early else None)) * self.get_buffer(f"{key}_norm")
        return x if early else x + bias

    def _bias_is_early(self, layer: Layer) -> bool:
        """Whether zeros at the border are blurred into what the bias was added to."""
        return layer.up and self.network.bias_before_blur

    def _filter(self, x: Tensor, layer: Layer, key: str, bias: Tensor | None) -> Tensor:
        before = self._bias_is_early(layer)
        if not layer.up:
            return functional.conv2d(x, self.get_buffer(f"{key}_weight"), bias, padding=1)
        x = self._repeat_and_convolve(x, key, bias if before else None)
        kernel = self.get_buffer(f"blur_{layer.out_channels}")
        taps, channels = kernel.shape[-1], layer.out_channels
        x = functional.conv2d(x, kernel, None if before else bias, padding=taps // 2, groups=channels)
        # An even number of taps has one more after the centre than before it.
        return x if taps % 2 else x[:, :, 1:, 1:]

    def _repeat_and_convolve(self, x: Tensor, key: str, bias: Tensor | None) -> Tensor:
        if not self.plain:
            return functional.conv_transpose2d(x, self.get_buffer(f"{key}_weight"), bias, stride=2, padding=1)
        x = self.get_submodule(f"{key}_up")(x)
        return x if bias is None else x + bias[:, None, None]

    def _adapt(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Adaptive instance normalisation (equation 1)."""
        x = x - _image_mean(x)
        deviation = torch.rsqrt(_image_mean(x * x, self.network.norm_epsilon))
        return x * (deviation * scale) + shift

    def _repeat(self, x: Tensor, factor: int) -> Tensor:
        """Each pixel `factor` times along both axes."""
        if factor == 1:
            return x
        _, channels, height, width = x.shape
        spread = x.reshape(-1, channels, height, 1, width, 1) * self.get_buffer(f"ones_{factor}")
        return spread.reshape(-1, channels, height * factor, width * factor)


def _image_mean(x: Tensor, epsilon: float = 0.0) -> Tensor:
    """The mean of each channel's image, [N, C, H, W] -> [N, C, 1, 1], with sums for it, and `epsilon` more.

    See `normalize_second_moment` for why it is added to the sum.

    One axis after the other: with a single sum over a million values, ONNX Runtime's 1024 px images were 2.5e-6 (mean)
    from float64; so they are 6.7e-7.
    """
    total, count = x.sum(dim=3, keepdim=True).sum(dim=2, keepdim=True), x.shape[2] * x.shape[3]
    return (total + count * epsilon if epsilon else total) * (1 / count)


def repeating_kernel(weight: np.ndarray) -> np.ndarray:
    """The transposed convolution that repeating pixels and convolving is: [out, in, 3, 3] -> [in, out, 4, 4].

    Along one axis y[p] = sum_k w[k] x[(p + k - 1) // 2]; with stride 2 and padding 1 that is the kernel
    (w[2], w[1] + w[2], w[0] + w[1], w[0]).
    """
    spread = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], weight.dtype)
    return np.einsum("ti,sj,abij->bats", spread, spread, weight)
