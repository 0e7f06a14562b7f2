"""The mapping network, which the generations share but for gains and the way a label enters."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.networks.marks import mark
from runtime.spec import LabelInput, MappingSpec

EPSILON = 1e-8
"""Added under the square root of the second-moment normalisation (arXiv 1710.10196, section 4.2)."""
LEAKY_SLOPE = 0.2
"""Slope of every leaky ReLU below zero."""


def normalize_second_moment(x: Tensor) -> Tensor:
    """Scale each row of [N, features] to a root mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate (arXiv 1710.10196, section 4.1): [N, in] -> [N, out]."""

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight_gain = lr_multiplier * gain / math.sqrt(in_features)
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
        if spec.c_dim and spec.label is LabelInput.EMBED:
            self.embed: nn.Module = FullyConnected(spec.c_dim, spec.embed_features)
        elif spec.c_dim:
            self.embed = nn.Linear(spec.c_dim, spec.embed_features, bias=False)
        for index, (inputs, outputs) in enumerate(pairwise(spec.widths)):
            self.add_module(f"fc{index}", FullyConnected(inputs, outputs, spec.lr_multiplier, spec.weight_gain))
        self.register_buffer("w_avg", torch.zeros(spec.w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Labels are one-hot or soft; needed exactly where c_dim > 0."""
        if self.spec.c_dim and c is None:
            raise ValueError(f"this generator is conditional: it needs a label c [N, {self.spec.c_dim}]")
        x = self._normalized(z, c)
        for index in range(len(self.spec.features)):
            x = functional.leaky_relu(self.get_submodule(f"fc{index}")(x), LEAKY_SLOPE) * self.spec.activation_gain
            x = mark(f"mapping.fc{index}", x)
        return x

    def _normalized(self, z: Tensor, c: Tensor | None) -> Tensor:
        """[N, z_dim + embed_features], where the label's part is normalised on its own or together with `z`."""
        if not self.spec.c_dim:
            return normalize_second_moment(z)
        if self.spec.label is LabelInput.CONCAT:
            return normalize_second_moment(torch.cat([z, self.embed(c)], dim=1))
        return torch.cat([normalize_second_moment(z), normalize_second_moment(self.embed(c))], dim=1)
