"""What the exported form of every generation is made of: constants, mixed styles, the mapping network, pixels."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.deploy.cost_model import Target
from exporter.networks.deploy.half import ACTIVATION_LIMIT, unit_channels
from exporter.networks.deploy.passes import ALL, Pass
from exporter.networks.deploy.up import UpConvolution
from exporter.networks.mapping import EPSILON, LEAKY_SLOPE
from exporter.networks.marks import mark
from runtime.parity import BF16, FP16, FP32
from runtime.spec import GeneratorSpec, LabelInput, MappingSpec
from runtime.up_forms import UpForm

Weights = Mapping[str, np.ndarray]
DTYPES = {FP32: torch.float32, FP16: torch.float16, BF16: torch.bfloat16}
"""Of convolutions, by precision."""
CONSTANT_DTYPE = np.float32
"""What constants are rounded to, once, after they were computed in float64."""

CHANNEL_ALIGNMENT = 16
"""Channels that the widest vector unit in use takes at once: ONNX Runtime's with AVX-512, and tensor cores'."""
MAX_ADDED_CHANNELS = 0.25
"""Share of channels that alignment may add: narrow layers lose more by them than they gain."""


def constant(array: np.ndarray | float) -> Tensor:
    """A constant of the graph."""
    return torch.from_numpy(np.array(array, dtype=CONSTANT_DTYPE, order="C"))


def float64(weights: Weights, name: str) -> np.ndarray:
    """A weight to compute constants from."""
    return weights[name].astype(np.float64)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Rows to a root mean square of 1, with a sum for the mean: ReduceSum reads the same in every opset since 13.

    The epsilon is added to the sum. By itself, torch's exporter takes a number up to 1e-8 for 0 and leaves it out, and
    a row of zeros would become NaN.
    """
    count = x.shape[1]
    return x * torch.rsqrt(((x * x).sum(dim=1, keepdim=True) + count * EPSILON) * (1 / count))


def to_pixels(image: Tensor) -> Tensor:
    """Image [N, C, H, W] -> uint8 [N, H, W, C], as the official scripts write it: scaled, clipped, truncated."""
    return (image.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)


class DeployMapping(nn.Module):
    """`z` [N, z_dim] and, where conditional, `c` [N, c_dim] -> `w` [N, w_dim], before truncation."""

    def __init__(self, spec: MappingSpec, weights: Weights) -> None:
        super().__init__()
        self.spec = spec
        if spec.c_dim:
            gain = 1 / math.sqrt(spec.c_dim) if spec.label is LabelInput.EMBED else 1.0
            self.register_buffer("embed_weight", constant(float64(weights, "mapping.embed.weight").T * gain))
            if spec.label is LabelInput.EMBED:
                self.register_buffer("embed_bias", constant(float64(weights, "mapping.embed.bias")))
        for index in range(len(spec.features)):
            weight = float64(weights, f"mapping.fc{index}.weight")
            gain = spec.lr_multiplier * spec.activation_gain  # the activation's gain commutes with it
            scaled = weight * (gain * spec.weight_gain / math.sqrt(weight.shape[1]))
            self.register_buffer(f"weight{index}", constant(scaled))
            self.register_buffer(f"bias{index}", constant(float64(weights, f"mapping.fc{index}.bias") * gain))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The graph's output `w`."""
        x = normalize_second_moment(z) if c is None else self._with_label(z, c)
        for index in range(len(self.spec.features)):
            x = functional.linear(x, self.get_buffer(f"weight{index}"), self.get_buffer(f"bias{index}"))
            x = mark(f"mapping.fc{index}", functional.leaky_relu(x, LEAKY_SLOPE))
        return x

    def _with_label(self, z: Tensor, c: Tensor) -> Tensor:
        weight = self.get_buffer("embed_weight")
        if self.spec.label is LabelInput.CONCAT:
            return normalize_second_moment(torch.cat([z, torch.matmul(c, weight)], dim=1))
        embedded = normalize_second_moment(torch.addmm(self.get_buffer("embed_bias"), c, weight))
        return torch.cat([normalize_second_moment(z), embedded], dim=1)


def aligned_width(channels: int) -> int:
    """How many channels to compute where `channels` are wanted; those added are zeros."""
    wide = aligned_up(channels)
    return wide if wide <= channels * (1 + MAX_ADDED_CHANNELS) else channels


def aligned_up(channels: int) -> int:
    """The next multiple of what vector units like."""
    return -(-channels // CHANNEL_ALIGNMENT) * CHANNEL_ALIGNMENT


def pad_channels(array: np.ndarray, *widths: int) -> np.ndarray:
    """Zeros added at the end of the first axes, up to `widths`."""
    added = [(0, width - size) for width, size in zip(widths, array.shape)]
    return np.pad(array, added + [(0, 0)] * (array.ndim - len(widths)))


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
            self.register_buffer("blend", constant(per_layer))

    def forward(self, styles: Tensor) -> Tensor:
        """[N, K, w_dim] -> [N, L, w_dim]."""
        if self.one_hot:
            return torch.index_select(styles, 1, self.get_buffer("index"))
        return torch.matmul(self.get_buffer("blend"), styles)


class StackedAffine(nn.Module):
    """Layer rows [N, L, w_dim] -> all layers' styles [N, L, 1, C]: `batched`, by one matrix product, else one a layer.

    Layers are stacked, padded with zeros to the widest, C. `affines` holds each layer's weight [features, w_dim] and
    bias [features], gains included.
    """

    def __init__(self, affines: Sequence[tuple[np.ndarray, np.ndarray]], width: int, batched: bool) -> None:
        super().__init__()
        self.width, self.batched = width, batched
        weight = np.zeros((len(affines), affines[0][0].shape[1], width))
        bias = np.zeros((len(affines), 1, width))
        for index, (layer_weight, layer_bias) in enumerate(affines):
            weight[index, :, : len(layer_bias)] = layer_weight.T
            bias[index, 0, : len(layer_bias)] = layer_bias
        self.register_buffer("weight", constant(weight))
        self.register_buffer("bias", constant(bias))

    def forward(self, rows: Tensor) -> Tensor:
        """[N, L, w_dim] -> [N, L, 1, C]."""
        return layer_products(rows.unsqueeze(2), self.get_buffer("weight"), self.batched) + self.get_buffer("bias")


def layer_products(x: Tensor, weight: Tensor, batched: bool) -> Tensor:
    """[N, L, 1, in] and [L, in, out] -> [N, L, 1, out]: in one product, or one a layer."""
    if batched:
        return torch.matmul(x, weight)
    return torch.cat([torch.matmul(x[:, layer : layer + 1], weight[layer]) for layer in range(len(weight))], dim=1)


def split_layers(stacked: Tensor, layers: Sequence[Mapping[str, int]], padded: int) -> dict[str, Tensor]:
    """[N, layers, 1, `padded`] -> a [N, width, 1, 1] view for each part of each layer, the padding cut off.

    `layers` holds each layer's parts, name -> width, in order.
    """
    flat = stacked.reshape(-1, len(layers) * padded, 1, 1)
    sizes: list[int] = []
    names: list[str] = []
    for parts in layers:
        sizes += parts.values()
        names += parts
        rest = padded - sum(parts.values())
        if rest:
            sizes.append(rest)
            names.append("")
    pieces = torch.split(flat, sizes, dim=1) if len(sizes) > 1 else (flat,)
    return {name: piece for name, piece in zip(names, pieces) if name}


@dataclass(frozen=True)
class Form:
    """How a synthesis network is exported.

    `mask` [num_ws, K] builds the rows of `ws` out of the K sources. `noise` is "explicit" (inputs), "const" (the
    checkpoint's buffers as constants) or "none". `precision` is that of convolutions and what lies between them;
    styles, epilogues and images are float32 always (see `half`). `fixed` holds rows of `ws` [w_dim] that no input
    decides. `passes` are the rewrites to make; `target` is what up-convolutions are chosen for, unless `up` says what
    all are.
    `first` and `end` are the layers that it holds, in synthesis order: all, or one side of a cut.
    """

    mask: np.ndarray
    noise: str = "explicit"
    precision: str = FP32
    fixed: Mapping[int, np.ndarray] = field(default_factory=dict)
    passes: frozenset[Pass] = ALL
    target: Target = Target.CPU
    up: UpForm | None = None
    first: int = 0
    end: int | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of convolutions."""
        return DTYPES[self.precision]

    @property
    def plain(self) -> bool:
        """Whether convolutions must be plain ones: TensorRT has no transposed ones in bfloat16."""
        return self.precision == BF16


@dataclass(frozen=True)
class Activations:
    """What one layer hands to the next: features, RGB so far, and the other way around a residual block, if begun.

    `x` [N, C, H, W] has the type of convolutions, `rgb` [N, img_channels, H, W] and `shortcut` [N, C, H, W] float32.
    """

    x: Tensor
    rgb: Tensor | None = None
    shortcut: Tensor | None = None

    def named(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        found = {"x": self.x, "rgb": self.rgb, "shortcut": self.shortcut}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


class DeploySynthesis(nn.Module):
    """`styles` [N, K, w_dim], noise [N or 1, 1, H, W] a noise input, `transform` [N or 1, 3, 3] -> image and pixels.

    Rows of `ws` that the form fixes are constants, folded into weights.
    """

    def __init__(self, spec: GeneratorSpec, weights: Weights, form: Form) -> None:
        super().__init__()
        self.spec = spec
        self.weights = weights
        self.form = form
        self.mask, self.noise, self.dtype, self.fixed = form.mask, form.noise, form.dtype, form.fixed
        self.folds_gain = Pass.GAIN in form.passes
        self.half_precision, self.plain = form.dtype is not torch.float32, form.plain
        self.drawn = spec.layers[form.first : form.end]
        self.noise_inputs = sorted({layer.noise for layer in self.drawn if layer.noise is not None})

    @property
    def more_nodes(self) -> int:
        """Nodes that the graph may have beyond what layers usually take."""
        return sum(module.most_nodes for module in self.modules() if isinstance(module, UpConvolution))

    @abstractmethod
    def through(
        self,
        at: Activations | None,
        styles: Tensor,
        noise: Sequence[Tensor] = (),
        transform: Tensor | None = None,
    ) -> Activations:
        """What the layers held make of what those before them made (None: these are the first).

        `noise` has an array for each of `noise_inputs`.
        """

    @abstractmethod
    def finish(self, at: Activations) -> Tensor:
        """The image [N, img_channels, H, W], after the last layer."""

    def image(self, styles: Tensor, noise: Sequence[Tensor] = (), transform: Tensor | None = None) -> Tensor:
        """styles [N, K, w_dim] -> image [N, img_channels, H, W]."""
        return self.finish(self.through(None, styles, noise, transform))

    def forward(
        self, styles: Tensor, noise: tuple[Tensor, ...], transform: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The graph's outputs: `image` and `pixels`."""
        image = self.image(styles, noise, transform)
        return image, to_pixels(image)

    def affine_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Weight [features, w_dim] and bias [features] of a style's affine layer, gains included."""
        weight = float64(self.weights, f"{name}.affine.weight") / math.sqrt(self.spec.w_dim)
        return weight, float64(self.weights, f"{name}.affine.bias")

    def fixed_style(self, name: str, row: int | None) -> np.ndarray:
        """The style [features] of a layer whose row of `ws` is fixed."""
        assert row is not None
        weight, bias = self.affine_of(name)
        style: np.ndarray = weight @ self.fixed[row].astype(np.float64) + bias
        return style

    def kernel(self, array: np.ndarray) -> Tensor:
        """A constant of a convolution."""
        return constant(array).to(self.dtype) if self.half_precision else constant(array)

    def normalized(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights [out, in, k, k] as they are convolved with, and what each output channel was divided by [out]."""
        return unit_channels(weight) if self.half_precision else (weight, np.ones(len(weight)))

    def widen(self, x: Tensor) -> Tensor:
        """A convolution's output, for what follows it."""
        return x.to(torch.float32) if self.half_precision else x

    def narrow(self, x: Tensor, clamped: bool = False, limit: float = ACTIVATION_LIMIT) -> Tensor:
        """What a convolution or filter takes; in float16, within `limit`, unless it is `clamped` already."""
        if not self.half_precision:
            return x
        return (x if clamped else x.clamp(-limit, limit)).to(self.dtype)

    def add_noise_constants(self, key: str, buffer: str | None, strength: np.ndarray) -> None:
        """Register what `with_noise` needs: the strength, and its product with the stored noise where that is baked."""
        if buffer is None or self.noise == "none":
            return
        self.register_buffer(f"{key}_strength", constant(strength))
        if self.noise == "const":
            self.register_buffer(f"{key}_noise", constant(float64(self.weights, buffer) * strength))

    def with_noise(self, x: Tensor, key: str, index: int | None, noise: Sequence[Tensor]) -> Tensor:
        """x + noise * strength, as the graph has its noise."""
        if index is None or self.noise == "none":
            return x
        if self.noise == "const":
            return x + self.get_buffer(f"{key}_noise")
        return x + noise[self.noise_inputs.index(index)] * self.get_buffer(f"{key}_strength")
