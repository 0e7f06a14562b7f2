"""A checkpoint in memory: the specification, the weights under canonical names, and where they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from exporter.checkpoints.layout import MEAN_W, check_shapes, expected_shapes
from runtime.errors import BundleError, CheckpointError, InputError
from runtime.spec import GeneratorSpec

if TYPE_CHECKING:
    import torch

    from exporter.networks import ReferenceNetwork


class SourceFormat(str, Enum):
    """The file formats that are read."""

    NVIDIA_TORCH = "NVIDIA PyTorch pickle"
    ROSINALITY_STYLEGAN2 = "rosinality stylegan2-pytorch"
    SAFETENSORS = "stylegan-edge safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A generator's specification and weights.

    `weights` maps canonical names (those of NVIDIA's PyTorch networks: `mapping.fc0.weight`, `synthesis.b4.conv1.bias`)
    to float32 arrays. `details` says what else the file told of itself: protocol, versions, which network was taken.
    """

    spec: GeneratorSpec
    weights: Mapping[str, np.ndarray]
    source: SourceFormat
    name: str
    sha256: str
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shapes(self.spec, self.weights)
        for name, array in self.weights.items():
            if not np.isfinite(array).all():
                raise CheckpointError(f"the tensor {name} holds NaN or infinity: damaged, or training diverged")

    @property
    def has_mean_w(self) -> bool:
        """Whether the file stored the mean of `w`, which truncation needs."""
        return MEAN_W in self.weights

    @property
    def parameter_count(self) -> int:
        """Learned values: everything but the mean of `w` and the stored noise."""
        learned = (name for name in self.weights if name != MEAN_W and not name.endswith(".noise_const"))
        return sum(self.weights[name].size for name in learned)

    def at_resolution(self, resolution: int) -> Checkpoint:
        """The same generator stopped at a lower resolution. Raises InputError where it has no toRGB there."""
        try:
            spec = self.spec.at_resolution(resolution)
        except BundleError as error:
            raise InputError(str(error)) from None
        names = set(expected_shapes(spec)) | {MEAN_W}
        weights = {name: array for name, array in self.weights.items() if name in names}
        return dataclasses.replace(self, spec=spec, weights=weights)

    def with_mean_w(self) -> Checkpoint:
        """This checkpoint with a mean of `w`: the stored one, or one computed from seeded samples (needs torch)."""
        if self.has_mean_w:
            return self
        from exporter.mean_w import compute_mean_w

        return dataclasses.replace(self, weights={**self.weights, MEAN_W: compute_mean_w(self)})

    def build(self, dtype: torch.dtype | None = None) -> ReferenceNetwork:
        """The reference network holding these weights, in evaluation mode (float32 unless `dtype` says otherwise)."""
        from exporter.networks import build_network

        return build_network(self, dtype)
