"""A checkpoint in memory: the specification, the weights under canonical names, and where they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from exporter.checkpoints.layout import MAGNITUDE_SUFFIX, MEAN_W, check_shapes, expected_shapes, is_optional
from exporter.checkpoints.source import SourceFormat
from runtime.errors import BundleError, CheckpointError, InputError
from runtime.noise import seeded_noise
from runtime.spec import GeneratorSpec

if TYPE_CHECKING:
    import torch

    from exporter.networks import ReferenceNetwork


NOISE_SEED = 0
"""Draws the noise of a checkpoint that stores none."""


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
            if name.endswith(MAGNITUDE_SUFFIX) and array <= 0:
                raise CheckpointError(f"the tensor {name} is {array:g}, expected a magnitude above 0")

    @property
    def has_mean_w(self) -> bool:
        """Whether the file stored the mean of `w`, which truncation needs."""
        return MEAN_W in self.weights

    @property
    def has_noise(self) -> bool:
        """Whether the file stored noise for every noise input."""
        return all(item.buffer in self.weights for item in self.spec.noise_inputs)

    @property
    def parameter_count(self) -> int:
        """Learned values: everything but the mean of `w` and the stored noise."""
        return sum(array.size for name, array in self.weights.items() if not is_optional(name))

    def at_resolution(self, resolution: int) -> Checkpoint:
        """The same generator stopped at a lower resolution. Raises InputError where it has no toRGB there."""
        try:
            return self._with_spec(self.spec.at_resolution(resolution))
        except BundleError as error:
            raise InputError(str(error)) from None

    def at_lod(self, lod: float) -> Checkpoint:
        """The same generator at another level of detail. Raises InputError where it has none such."""
        try:
            return self._with_spec(self.spec.at_lod(lod))
        except BundleError as error:
            raise InputError(str(error)) from None

    def variant(self, spec: GeneratorSpec) -> Checkpoint:
        """This checkpoint at the resolution and level of detail of `spec`. Raises InputError where it isn't such."""
        found = self.at_resolution(spec.resolution).at_lod(spec.synthesis.level_of_detail)
        if found.spec != spec:
            raise InputError("its specification differs")
        return found

    def _with_spec(self, spec: GeneratorSpec) -> Checkpoint:
        names = set(expected_shapes(spec))
        weights = {name: array for name, array in self.weights.items() if name in names}
        return dataclasses.replace(self, spec=spec, weights=weights)

    def completed(self) -> Checkpoint:
        """This checkpoint with a mean of `w` and noise: what the file stored, or else both made from seeds.

        Computing the mean needs torch.
        """
        weights = dict(self.weights)
        if not self.has_noise:
            weights |= drawn_noise(self.spec)
        if not self.has_mean_w:
            from exporter.mean_w import compute_mean_w

            weights[MEAN_W] = compute_mean_w(dataclasses.replace(self, weights=weights))
        return dataclasses.replace(self, weights=weights)

    def build(self, dtype: torch.dtype | None = None) -> ReferenceNetwork:
        """The reference network holding these weights, in evaluation mode (float32 unless `dtype` says otherwise)."""
        from exporter.networks import build_network

        return build_network(self, dtype)


def drawn_noise(spec: GeneratorSpec, seed: int = NOISE_SEED) -> dict[str, np.ndarray]:
    """Noise in place of what a file stores, by canonical name: the same for every level of detail."""
    spec = spec.at_lod(0)
    names = (item.buffer for item in spec.noise_inputs)
    return {name: array[0, 0] for name, array in zip(names, seeded_noise(spec, seed))}
