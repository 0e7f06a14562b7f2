"""The mapping network: `z` (and label `c`) -> `w`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from runtime.errors import BundleError
from runtime.spec.bounds import MAX_MAPPING_LAYERS, MAX_WIDTH, check_finite, check_range


class LabelInput(str, Enum):
    """How a label enters the mapping network.

    EMBED: a fully connected layer with bias, normalised on its own, beside the normalised `z` (StyleGAN2-ADA,
    StyleGAN3). CONCAT: a plain matrix without gain or bias, beside `z`, the two normalised as one vector (the
    TensorFlow networks).
    """

    EMBED = "embed"
    CONCAT = "concat"


@dataclass(frozen=True)
class MappingSpec:
    """`z` (and label `c`) -> `w`.

    `features` holds the output width of each fully connected layer; the last one is `w_dim`. `embed_features` is the
    width that a label is embedded in (0 where the network takes none). `lr_multiplier` scales weights and biases;
    `weight_gain` scales the weights alone, and `activation_gain` follows the leaky ReLU.
    """

    z_dim: int
    w_dim: int
    c_dim: int
    features: tuple[int, ...]
    embed_features: int
    lr_multiplier: float
    label: LabelInput = LabelInput.EMBED
    weight_gain: float = 1.0
    activation_gain: float = math.sqrt(2)

    def __post_init__(self) -> None:
        check_range("z_dim", self.z_dim, 1, MAX_WIDTH)
        check_range("w_dim", self.w_dim, 1, MAX_WIDTH)
        check_range("c_dim", self.c_dim, 0, MAX_WIDTH)
        check_range("mapping layers", len(self.features), 1, MAX_MAPPING_LAYERS)
        for width in self.features:
            check_range("mapping features", width, 1, MAX_WIDTH)
        if self.features[-1] != self.w_dim:
            raise BundleError(f"mapping ends in {self.features[-1]} features, expected w_dim = {self.w_dim}")
        check_range("embed_features", self.embed_features, 1 if self.c_dim else 0, MAX_WIDTH if self.c_dim else 0)
        for name in ("lr_multiplier", "weight_gain", "activation_gain"):
            check_finite(name, getattr(self, name))

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of what each fully connected layer takes, then of `w`."""
        return (self.z_dim + self.embed_features, *self.features)
