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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.fir import UP, transposed_conv_padding
from exporter.networks.stylegan2 import ACTIVATION_GAIN, EPSILON, LEAKY_SLOPE, RESNET_GAIN
from runtime.spec import Architecture, GeneratorSpec, LayerKind, MappingSpec, StyledLayer

Weights = Mapping[str, np.ndarray]


def _constant(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _float64(weights: Weights, name: str) -> np.ndarray:
    return weights[name].astype(np.float64)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Rows to a root mean square of 1, with a sum for the mean: ReduceSum reads the same in every opset since 13."""
    return x * torch.rsqrt((x * x).sum(dim=1, keepdim=True) * (1 / x.shape[1]) + EPSILON)


class DeployMapping(nn.Module):
    """`z` [N, z_dim] and, where conditional, `c` [N, c_dim] -> `w` [N, w_dim], before truncation."""

    def __init__(self, spec: MappingSpec, weights: Weights) -> None:
        super().__init__()
        self.spec = spec
        if spec.c_dim:
            gain = 1 / math.sqrt(spec.c_dim)
            self.register_buffer("embed_weight", _constant(_float64(weights, "mapping.embed.weight").T * gain))
            self.register_buffer("embed_bias", _constant(_float64(weights, "mapping.embed.bias")))
        for index in range(len(spec.features)):
            weight = _float64(weights, f"mapping.fc{index}.weight")
            gain = spec.lr_multiplier * ACTIVATION_GAIN  # the activation's gain commutes with it
            self.register_buffer(f"weight{index}", _constant(weight * (gain / math.sqrt(weight.shape[1]))))
            self.register_buffer(f"bias{index}", _constant(_float64(weights, f"mapping.fc{index}.bias") * gain))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The graph's output `w`."""
        x = normalize_second_moment(z)
        if c is not None:
            embedded = torch.addmm(self.get_buffer("embed_bias"), c, self.get_buffer("embed_weight"))
            x = torch.cat([x, normalize_second_moment(embedded)], dim=1)
        for index in range(len(self.spec.features)):
            x = functional.linear(x, self.get_buffer(f"weight{index}"), self.get_buffer(f"bias{index}"))
            x = functional.leaky_relu(x, LEAKY_SLOPE)
        return x


class StyleMixer(nn.Module):
    """Source styles [N, K, w_dim] -> the row of each layer [N, L, w_dim], by a constant mask [num_ws, K]."""

    def __init__(self, rows: Sequence[int], mask: np.ndarray) -> None:
        super().__init__()
        self.sources = mask.shape[1]
        per_layer = mask[list(rows)]
        self.one_hot = bool(np.isin(per_layer, (0.0, 1.0)).all())
        if self.one_hot:
            self.register_buffer("index", torch.from_numpy(per_layer.argmax(axis=1).astype(np.int64)))
        else:
            self.register_buffer("blend", _constant(per_layer))

    def forward(self, styles: Tensor) -> Tensor:
        """[N, K, w_dim] -> [N, L, w_dim]."""
        if self.one_hot:
            return torch.index_select(styles, 1, self.get_buffer("index"))
        return torch.matmul(self.get_buffer("blend"), styles)


class StyleBank(nn.Module):
    """Layer rows [N, L, w_dim] -> each layer's style s [N, in, 1, 1] and each convolution's d [N, out, 1, 1].

    Layers are stacked, padded with zeros to the widest, convolutions first: two batched matrix products make them all.
    """

    def __init__(
        self, spec: GeneratorSpec, layers: Sequence[StyledLayer], gains: Mapping[str, float], weights: Weights
    ):
        super().__init__()
        self.layers = layers
        self.convs = [layer for layer in layers if layer.kind is LayerKind.CONV]
        self.width = max(max(layer.in_channels, layer.out_channels) for layer in layers)
        affine = np.zeros((len(layers), spec.w_dim, self.width))
        affine_bias = np.zeros((len(layers), 1, self.width))
        for index, layer in enumerate(layers):
            weight = _float64(weights, f"synthesis.{layer.name}.affine.weight")
            affine[index, :, : layer.in_channels] = weight.T / math.sqrt(spec.w_dim)
            affine_bias[index, 0, : layer.in_channels] = _float64(weights, f"synthesis.{layer.name}.affine.bias")
        energy = np.zeros((len(self.convs), self.width, self.width))
        epsilon = np.zeros((len(self.convs), 1, 1))
        for index, layer in enumerate(self.convs):
            weight = _float64(weights, f"synthesis.{layer.name}.weight")
            gain = gains[layer.name]  # of the activation: d * gain = rsqrt((energy + eps) / gain^2)
            energy[index, : layer.in_channels, : layer.out_channels] = (weight**2).sum(axis=(2, 3)).T / gain**2
            epsilon[index] = EPSILON * demodulation_scale(spec, layer) ** 2 / gain**2
        self.register_buffer("affine", _constant(affine))
        self.register_buffer("affine_bias", _constant(affine_bias))
        self.register_buffer("energy", _constant(energy))
        self.register_buffer("epsilon", _constant(epsilon))

    def forward(self, rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Styles and demodulation coefficients, by layer name."""
        styles = torch.matmul(rows.unsqueeze(2), self.get_buffer("affine")) + self.get_buffer("affine_bias")
        convs = styles[:, : len(self.convs)]  # [N, convs, 1, C]
        energy = torch.matmul(convs * convs, self.get_buffer("energy")) + self.get_buffer("epsilon")
        return (
            self._split(styles, {layer.name: layer.in_channels for layer in self.layers}),
            self._split(torch.rsqrt(energy), {layer.name: layer.out_channels for layer in self.convs}),
        )

    def _split(self, stacked: Tensor, widths: Mapping[str, int]) -> dict[str, Tensor]:
        """[N, layers, 1, C] -> a [N, width, 1, 1] view for each layer, the padding cut off."""
        flat = stacked.reshape(-1, len(widths) * self.width, 1, 1)
        sizes, names = [], []
        for name, width in widths.items():
            sizes.append(width)
            names.append(name)
            if width < self.width:
                sizes.append(self.width - width)
                names.append("")
        parts = torch.split(flat, sizes, dim=1) if len(sizes) > 1 else (flat,)
        return {name: part for name, part in zip(names, parts) if name}


def demodulation_scale(spec: GeneratorSpec, layer: StyledLayer) -> float:
    """What a network that scales weights before demodulation multiplies its epsilon by, relative to raw weights."""
    return math.sqrt(layer.in_channels * 9) if spec.synthesis.scaled_demodulation else 1.0


class DeploySynthesis(nn.Module):
    """`styles` [N, K, w_dim] and noise [1, 1, H, W] a noisy layer -> image [N, img_channels, H, W].

    `mask` [num_ws, K] builds the rows of `ws` out of the K sources. `noise` is "explicit" (inputs), "const" (the
    checkpoint's buffers as constants) or "none".
    """

    def __init__(self, spec: GeneratorSpec, weights: Weights, mask: np.ndarray, noise: str) -> None:
        super().__init__()
        self.spec = spec
        self.noise = noise
        self.layers = sorted(
            spec.layers, key=lambda layer: layer.kind is LayerKind.TO_RGB
        )  # stable: convolutions first
        self.mixer = StyleMixer([layer.style for layer in self.layers], mask)
        gains = {layer.name: self._gain(layer) for layer in self.layers}
        self.bank = StyleBank(spec, self.layers, gains, weights)
        self.register_buffer("const", _constant(weights["synthesis.b4.const"])[None])
        for layer in self.layers:
            self._add_layer(layer, weights, gains[layer.name])
        self._add_filters(weights)

    def _gain(self, layer: StyledLayer) -> float:
        """Gain of a layer's activation, which a residual block's second convolution takes part of back."""
        residual = self.spec.synthesis.architecture is Architecture.RESNET and layer.resolution > 4
        return ACTIVATION_GAIN * (RESNET_GAIN if residual and layer.name.endswith("conv1") else 1.0)

    def _add_layer(self, layer: StyledLayer, weights: Weights, gain: float) -> None:
        key, name = layer.name.replace(".", "_"), f"synthesis.{layer.name}"
        weight, bias = _float64(weights, f"{name}.weight"), _float64(weights, f"{name}.bias")
        if layer.kind is LayerKind.TO_RGB:
            self.register_buffer(f"{key}_weight", _constant(weight / math.sqrt(layer.in_channels)))
            self.register_buffer(f"{key}_bias", _constant(bias))
            return
        self.register_buffer(f"{key}_weight", _constant(weight.swapaxes(0, 1) if layer.up else weight))
        self.register_buffer(f"{key}_bias", _constant(bias[:, None, None] * gain))
        if layer.noise is not None and self.noise != "none":
            strength = _float64(weights, f"{name}.noise_strength") * gain
            self.register_buffer(f"{key}_strength", _constant(strength))
            if self.noise == "const":
                self.register_buffer(f"{key}_noise", _constant(_float64(weights, f"{name}.noise_const") * strength))

    def _add_filters(self, weights: Weights) -> None:
        """One depthwise FIR kernel a width; the flip makes a correlation of it, a transposed convolution needs none."""
        taps = np.asarray(self.spec.synthesis.resample_filter)
        kernel = np.outer(taps, taps)[None, None] * UP**2
        for layer in self.layers:
            if layer.up:
                flipped = np.repeat(kernel[:, :, ::-1, ::-1], layer.out_channels, axis=0)
                self.register_buffer(f"fir_{layer.out_channels}", _constant(flipped), persistent=False)
        if self.spec.synthesis.architecture is Architecture.SKIP:
            self.register_buffer("up_image", _constant(np.repeat(kernel, self.spec.img_channels, axis=0)))
        if self.spec.synthesis.architecture is Architecture.RESNET:
            for inputs, outputs, side in self._shortcuts():
                weight = _float64(weights, f"synthesis.b{side}.skip.weight") * (RESNET_GAIN / math.sqrt(inputs))
                self.register_buffer(f"skip_{side}", _constant(weight))
                self.register_buffer(f"up_{outputs}", _constant(np.repeat(kernel, outputs, axis=0)))

    def _shortcuts(self) -> list[tuple[int, int, int]]:
        network = self.spec.synthesis
        return list(zip(network.channels, network.channels[1:], network.resolutions[1:]))

    def forward(self, styles: Tensor, noise: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The graph's outputs: `image` and `pixels`."""
        image = self.image(styles, noise)
        return image, to_pixels(image)

    def image(self, styles: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """styles [N, K, w_dim] -> image [N, img_channels, H, W]."""
        scales, demodulations = self.bank(self.mixer(styles))
        x, image, shortcut = self.get_buffer("const"), None, None
        for layer in self.spec.layers:
            key, scale = layer.name.replace(".", "_"), scales[layer.name]
            if layer.up and self.spec.synthesis.architecture is Architecture.RESNET:
                shortcut = functional.conv2d(x, self.get_buffer(f"skip_{layer.resolution}"))
                shortcut = self._upsample(shortcut, self.get_buffer(f"up_{layer.out_channels}"))
            if layer.kind is LayerKind.TO_RGB:
                image = self._to_rgb(x * scale, key, image)
                continue
            x = self._convolve(x * scale, layer, key) * demodulations[layer.name]
            x = self._activate(self._add_noise(x, layer, key, noise), layer, key)
            if shortcut is not None and layer.name.endswith("conv1"):
                x, shortcut = x + shortcut, None
        assert image is not None
        return image

    def _convolve(self, x: Tensor, layer: StyledLayer, key: str) -> Tensor:
        weight = self.get_buffer(f"{key}_weight")
        if not layer.up:
            return functional.conv2d(x, weight, padding=1)
        kernel = self.get_buffer(f"fir_{layer.out_channels}")
        before, after = transposed_conv_padding(kernel.shape[-1])
        x = functional.conv_transpose2d(x, weight, stride=2)
        x = functional.conv2d(x, kernel, padding=max(before, after), groups=layer.out_channels)
        return _crop(x, max(before, after) - before, layer.resolution)

    def _add_noise(self, x: Tensor, layer: StyledLayer, key: str, noise: Sequence[Tensor]) -> Tensor:
        if layer.noise is None or self.noise == "none":
            return x
        if self.noise == "const":
            return x + self.get_buffer(f"{key}_noise")
        return x + noise[layer.noise] * self.get_buffer(f"{key}_strength")

    def _activate(self, x: Tensor, layer: StyledLayer, key: str) -> Tensor:
        x = functional.leaky_relu(x + self.get_buffer(f"{key}_bias"), LEAKY_SLOPE)
        clamp = self.spec.synthesis.conv_clamp
        if clamp is None:
            return x
        clamp *= self._gain(layer) / ACTIVATION_GAIN
        return x.clamp(-clamp, clamp)

    def _to_rgb(self, x: Tensor, key: str, image: Tensor | None) -> Tensor:
        rgb = functional.conv2d(x, self.get_buffer(f"{key}_weight"), self.get_buffer(f"{key}_bias"))
        clamp = self.spec.synthesis.conv_clamp
        rgb = rgb if clamp is None else rgb.clamp(-clamp, clamp)
        return rgb if image is None else self._upsample(image, self.get_buffer("up_image")) + rgb

    def _upsample(self, x: Tensor, kernel: Tensor) -> Tensor:
        """FIR up-sampling as one transposed depthwise convolution."""
        taps, side = kernel.shape[-1], x.shape[-1] * UP
        begin = taps - 1 - (taps + 1) // 2
        if 2 * begin == taps - 2:  # the same on both sides: the operator crops
            return functional.conv_transpose2d(x, kernel, stride=UP, padding=begin, groups=x.shape[1])
        return _crop(functional.conv_transpose2d(x, kernel, stride=UP, groups=x.shape[1]), begin, side)


class DeployPipeline(nn.Module):
    """The whole generator: `z` of each source, label, psi a layer [num_ws], noise -> image and pixels.

    Truncation follows mixing, which is the same because the rows of the mask sum to 1.
    """

    def __init__(self, spec: GeneratorSpec, weights: Weights, mask: np.ndarray, noise: str) -> None:
        super().__init__()
        self.mapping = DeployMapping(spec.mapping, weights)
        self.mixer = StyleMixer(range(spec.num_ws), mask)
        self.synthesis = DeploySynthesis(spec, weights, np.eye(spec.num_ws), noise)
        self.register_buffer("w_avg", _constant(weights["mapping.w_avg"]))

    def forward(
        self, z: tuple[Tensor, ...], c: Tensor | None, psi: Tensor, noise: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """The graph's outputs: `image` and `pixels`."""
        sources = [self.mapping(latent, c).unsqueeze(1) for latent in z]  # [N, 1, w_dim] each
        ws = sources[0] if len(sources) == 1 else self.mixer(torch.cat(sources, dim=1))
        mean = self.get_buffer("w_avg")
        return self.synthesis(mean + psi.unsqueeze(1) * (ws - mean), noise)  # [N, num_ws, w_dim]


def _crop(x: Tensor, begin: int, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    return x[:, :, begin : begin + side, begin : begin + side]


def to_pixels(image: Tensor) -> Tensor:
    """Image [N, C, H, W] -> uint8 [N, H, W, C], as the official scripts write it: scaled, clipped, truncated."""
    return (image.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)
