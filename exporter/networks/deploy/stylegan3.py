"""StyleGAN3 in the form that is exported: the reference's function, rewritten exactly for constant weights.

- A modulated convolution is `d * Conv(x * s, W)` with `d = rsqrt(sum (W s)^2 + eps mean(s^2))`, W normalised an output
  channel (arXiv 2106.12423, appendix C): weights stay constant, the batch stays free, and the normalisation of styles
  has cancelled but for the epsilon.
- Leaky ReLU is positively homogeneous and filters are linear, so the gains of the activation, of the magnitude and of
  up-sampling fold into `d`, the bias and the filters.
- Widths that no vector unit likes (181, 287) are rounded up with channels whose weights and biases are zero: ONNX
  Runtime's depthwise convolutions are 3 to 14 times faster on them. They stay zero through every layer.
- The sampling grid is a constant; the transform acts on frequencies and phases (section 3.2).

Constants are computed in float64 and rounded to float32 once. Names: N batch, L layers, C largest width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    aligned_width,
    constant,
    float64,
    layer_products,
    pad_channels,
    split_layers,
)
from exporter.networks.deploy.filtered import DirectActivation, FilteredActivation, Nonlinearity, filtered_activation
from exporter.networks.deploy.half import FILTER_LIMIT, unit_styles
from exporter.networks.deploy.passes import Pass
from exporter.networks.mapping import EPSILON
from exporter.networks.marks import mark
from exporter.networks.stylegan3 import ACTIVATION_GAIN, AFFINE_FEATURES, sample_points
from runtime.spec import FilteredLayer, Fourier, GeneratorSpec, LayerKind, StyleGAN3Spec


class FourierFeatures(nn.Module):
    """Turn and shift [N, 1, 4], transform [N or 1, 3, 3] -> the first features [N, aligned C, size, size]."""

    def __init__(self, fourier: Fourier, weights: Weights, width: int) -> None:
        super().__init__()
        self.fourier, self.width = fourier, width
        line = sample_points(fourier).numpy()
        y, x = np.meshgrid(line, line, indexing="ij")
        points = np.stack([x.reshape(-1), y.reshape(-1), np.ones(x.size)])
        self.register_buffer("points", constant(points * (2 * math.pi)))  # [3, size * size]
        freqs, phases = float64(weights, "synthesis.input.freqs"), float64(weights, "synthesis.input.phases")
        self.register_buffer("freqs", constant(freqs))
        self.register_buffer("phases", constant(np.concatenate([np.zeros_like(freqs), phases[:, None]], axis=1)))
        mix = float64(weights, "synthesis.input.weight") / math.sqrt(fourier.channels)
        self.register_buffer("mix", constant(pad_channels(mix, self.width)))
        # (cos, sin, dx, dy) / norm -> the first two rows of the turn: (cos, -sin), (sin, cos)
        turn = np.zeros((AFFINE_FEATURES, 4))
        turn[0, 0] = turn[1, 2] = turn[0, 3] = 1
        turn[1, 1] = -1
        self.register_buffer("turn", constant(turn))

    def forward(self, affine: Tensor, transform: Tensor) -> Tensor:
        """The features, before any layer."""
        waves = self._waves(affine, transform)  # [N, C, 3]
        freqs = waves[:, :, :2]
        nyquist, bandwidth = self.fourier.sampling_rate / 2, self.fourier.bandwidth
        beyond = torch.sqrt((freqs * freqs).sum(dim=2, keepdim=True)) - bandwidth
        amplitudes = (1 - beyond * (1 / (nyquist - bandwidth))).clamp(0, 1)  # [N, C, 1]
        features = torch.sin(torch.matmul(waves, self.get_buffer("points"))) * amplitudes  # [N, C, size * size]
        mixed = torch.matmul(self.get_buffer("mix"), features)
        return mixed.reshape(-1, self.width, self.fourier.size, self.fourier.size)

    def _waves(self, values: Tensor, transform: Tensor) -> Tensor:
        """[N, 1, 4] and [N or 1, 3, 3] -> frequency (x, y) and phase of each sine, [N, C, 3]."""
        direction = values[:, :, :2]
        values = values * torch.rsqrt((direction * direction).sum(dim=2, keepdim=True))
        turn = torch.matmul(values, self.get_buffer("turn")).reshape(-1, 2, 2)
        shift = torch.matmul(turn, -values[:, :, 2:].transpose(1, 2))
        motion = torch.cat([turn, shift], dim=2)  # [N, 2, 3]: the last row of the matrix is (0, 0, 1)
        # A sum of products instead of a matrix product: the transform may be one for all images, or one for each.
        matrix = (motion.unsqueeze(3) * transform.unsqueeze(1)).sum(dim=2)  # [N, 2, 3]
        return torch.matmul(self.get_buffer("freqs"), matrix) + self.get_buffer("phases")


class DeployStyleGAN3(DeploySynthesis):
    """A StyleGAN3 synthesis network."""

    def __init__(self, spec: GeneratorSpec, weights: Weights, form: Form) -> None:
        super().__init__(spec, weights, form)
        self.network = cast(StyleGAN3Spec, spec.synthesis)
        self.gain = ACTIVATION_GAIN if self.folds_gain else 1.0
        drawn = {layer.name for layer in self.drawn}
        layers = [layer for layer in self.network.filtered if layer.name in drawn]
        self.convs = [layer for layer in layers if layer is not self.network.filtered[-1]]
        # Rows of ws: convolutions first, then toRGB, which has no demodulation, then the input; fixed ones left out.
        rows = {layer.name: index + 1 for index, layer in enumerate(self.network.filtered)} | {"input": 0}
        self.rows = {name: row for name, row in rows.items() if name in drawn and row not in self.fixed}
        self.free_convs = [layer for layer in self.convs if layer.name in self.rows]
        self.mixer = StyleMixer(list(self.rows.values()), self.mask)
        channels = [width for layer in layers for width in (layer.in_channels, layer.out_channels)]
        self.width = max([AFFINE_FEATURES, *map(self._width, channels)])
        self.affine = StackedAffine(
            [self.affine_of(f"synthesis.{name}") for name in self.rows], self.width, Pass.STYLES in form.passes
        )
        if "input" in drawn and "input" not in self.rows:
            self.register_buffer("input_style", constant(self.fixed_style("synthesis.input", 0)[None, None]))
        if "input" in drawn:
            fourier = self.network.fourier
            self.entry = FourierFeatures(fourier, weights, self._width(fourier.channels))
        kernels = {layer.name: self.normalized(self._weight(layer, rows[layer.name])) for layer in layers}
        self._add_demodulation(kernels)
        for layer in layers:
            self._add_layer(layer, *kernels[layer.name])

    def _stays_wide(self, filtered: nn.Module) -> bool:
        """Whether filters stay in float32: some have transposed convolutions, where only plain ones are to be had."""
        return self.plain and isinstance(filtered, DirectActivation)

    def _width(self, channels: int) -> int:
        """How many channels to compute where `channels` are wanted."""
        return aligned_width(channels) if Pass.WIDTHS in self.form.passes else channels

    def _input_gain(self, layer: FilteredLayer) -> float:
        return 1 / math.sqrt(float(self.weights[f"synthesis.{layer.name}.magnitude_ema"]))

    def _weight(self, layer: FilteredLayer, row: int) -> np.ndarray:
        """A weight with a mean square of 1 for each output channel; of toRGB with its gains instead.

        Where its style is fixed, that and the demodulation are in it.
        """
        weight = float64(self.weights, f"synthesis.{layer.name}.weight")
        last = layer is self.network.filtered[-1]
        if last:
            gain = self._input_gain(layer) * self.network.output_scale  # commutes with the clamp, whose bound it scales
            weight = weight * (gain / math.sqrt(layer.in_channels))
        else:
            weight = weight / np.sqrt((weight**2).mean(axis=(1, 2, 3), keepdims=True))
        if row not in self.fixed:
            return weight
        style = self.fixed_style(f"synthesis.{layer.name}", row)
        weight = weight * style[:, None, None]
        if last:
            return weight
        energy = (weight**2).sum(axis=(1, 2, 3), keepdims=True) + EPSILON * (style**2).mean()
        scaled: np.ndarray = weight * (self.gain * self._input_gain(layer) / np.sqrt(energy))
        return scaled

    def _add_demodulation(self, kernels: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """d * gain = rsqrt((sum (W s)^2 + eps mean(s^2)) / gain^2), for all convolutions at once."""
        energy = np.zeros((len(self.free_convs), self.width, self.width))
        epsilon = np.zeros((len(self.free_convs), 1, self.width if self.half_precision else 1))
        for index, layer in enumerate(self.free_convs):
            kernel, norm = kernels[layer.name]
            gain = (self.gain * self._input_gain(layer)) ** 2
            energy[index, : layer.in_channels, : layer.out_channels] = (kernel**2).sum(axis=(2, 3)).T / gain
            epsilon[index] = EPSILON / (layer.in_channels * gain)
            if self.half_precision:  # the channels added stay above zero
                epsilon[index, 0, : layer.out_channels] /= norm**2
        self.register_buffer("energy", constant(energy))
        self.register_buffer("epsilon", constant(epsilon))
        if self.half_precision:
            known = {layer.name: layer.in_channels for layer in self.network.filtered} | {"input": AFFINE_FEATURES}
            widths = np.array([known[name] for name in self.rows])
            self.register_buffer("inverse_widths", constant(1 / widths[:, None, None]))

    def _add_layer(self, layer: FilteredLayer, kernel: np.ndarray, norm: np.ndarray) -> None:
        last = layer is self.network.filtered[-1]
        gain = self.network.output_scale if last else self.gain
        bias = float64(self.weights, f"synthesis.{layer.name}.bias")
        inputs, outputs = self._width(layer.in_channels), len(bias) if last else self._width(len(bias))
        self.register_buffer(f"{layer.name}_weight", self.kernel(pad_channels(kernel, outputs, inputs)))
        self.register_buffer(f"{layer.name}_bias", constant(pad_channels(bias * gain, outputs)))
        if self.half_precision and (last or layer.name not in self.rows):
            norm = pad_channels(norm, outputs)
            self.register_buffer(f"{layer.name}_norm", constant(norm[:, None, None]))
        if not last:
            inner = layer.inner_size(self.network.kernel_of(layer))
            nonlinearity = Nonlinearity(ACTIVATION_GAIN / self.gain, self.network.conv_clamp)
            filtered = filtered_activation(layer, inner, nonlinearity, self.weights, outputs, self.form)
            if self.half_precision and not self._stays_wide(filtered):
                filtered = filtered.to(self.dtype)
            self.add_module(f"{layer.name}_filtered", filtered)

    @property
    def more_nodes(self) -> int:
        """Filters in phases and in parts."""
        return sum(module.most_nodes for module in self.modules() if isinstance(module, FilteredActivation))

    def through(
        self,
        at: Activations | None,
        styles: Tensor,
        noise: Sequence[Tensor] = (),
        transform: Tensor | None = None,
    ) -> Activations:
        """`x` has the aligned width, `transform` [N or 1, 3, 3] is of the first layer."""
        stacked, free = self.affine(self.mixer(styles)), len(self.free_convs)
        x = self._features(stacked, transform) if at is None else at.x
        norm, last = None, self.network.filtered[-1].name
        if self.half_precision:
            stacked, norms = unit_styles(stacked, self.get_buffer("inverse_widths"))
            norm = norms[:, free].unsqueeze(3) if last in self.rows else None  # of toRGB, [N, 1, 1, 1]
        known = {layer.name: self._width(layer.in_channels) for layer in self.network.filtered}
        known["input"] = AFFINE_FEATURES
        scales = split_layers(stacked, [{name: known[name]} for name in self.rows], self.width)
        demodulations = self._demodulations(stacked[:, :free]) if free else {}
        for layer in self.convs:
            weight, bias = self.get_buffer(f"{layer.name}_weight"), self.get_buffer(f"{layer.name}_bias")
            x = self._scale(x, scales.get(layer.name))
            x = self.widen(functional.conv2d(x, weight, padding=self.network.conv_kernel - 1))
            if layer.name in demodulations:
                x = x * demodulations[layer.name]
            elif self.half_precision:
                x = x * self.get_buffer(f"{layer.name}_norm")
            x = self.narrow(x + bias[:, None, None], limit=FILTER_LIMIT)
            filtered = self.get_submodule(f"{layer.name}_filtered")
            x = self.narrow(filtered(self.widen(x))) if self._stays_wide(filtered) else filtered(x)
            mark(layer.name, x)
        if self.drawn[-1].kind is not LayerKind.TO_RGB:
            return Activations(x)
        return Activations(x, mark(last, self._to_rgb(self._scale(x, scales.get(last)), norm)))

    def finish(self, at: Activations) -> Tensor:
        """What the last layer made."""
        assert at.rgb is not None
        return at.rgb

    def _features(self, stacked: Tensor, transform: Tensor | None) -> Tensor:
        """The input, by its row of the stacked styles [N, L, 1, C], or a fixed one."""
        assert transform is not None
        style = stacked[:, -1, :, :AFFINE_FEATURES] if "input" in self.rows else self.get_buffer("input_style")
        return mark("input", self.narrow(self.entry(style, transform)))

    def _scale(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """x * s; where the style is fixed, it is in the weights."""
        return x if scale is None else x * self.narrow(scale, clamped=True)

    def _demodulations(self, styles: Tensor) -> dict[str, Tensor]:
        """Styles of the free convolutions [N, convs, 1, C] -> the coefficients of each, [N, out, 1, 1]."""
        squares = styles * styles
        energy = layer_products(squares, self.get_buffer("energy"), Pass.STYLES in self.form.passes)
        energy = energy + squares.sum(dim=3, keepdim=True) * self.get_buffer("epsilon")
        widths = [{layer.name: self._width(layer.out_channels)} for layer in self.free_convs]
        return split_layers(torch.rsqrt(energy), widths, self.width)

    def _to_rgb(self, x: Tensor, norm: Tensor | None) -> Tensor:
        name = self.network.filtered[-1].name
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        if self.half_precision:
            own = self.get_buffer(f"{name}_norm")
            image = self.widen(functional.conv2d(x, weight)) * (own if norm is None else norm * own)
            image = image + bias[:, None, None]
        else:
            image = functional.conv2d(x, weight, bias)
        if self.network.conv_clamp is None:
            return image
        bound = self.network.conv_clamp * abs(self.network.output_scale)
        return image.clamp(-bound, bound)
