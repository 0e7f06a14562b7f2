"""A state dict: tensors by name, whose names number a network's layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from exporter.checkpoints.tensors import drop_ones
from runtime.errors import CheckpointError

MAX_DIGITS = 3
"""Digits of a layer's number; no network has a thousand."""


@dataclass(frozen=True)
class State:
    """The tensors of a generator, by name."""

    arrays: Mapping[str, np.ndarray]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def get(self, name: str, dimensions: int, ones: int = 0) -> np.ndarray:
        """A tensor of that many dimensions, without its first `ones`, which must be 1.

        Raises CheckpointError where there is none such.
        """
        array = self.arrays.get(name)
        if array is None or array.ndim != dimensions or array.size == 0:
            raise CheckpointError(f"the checkpoint lacks the {dimensions}-dimensional tensor {name}")
        return drop_ones(f"the tensor {name}", array, ones)

    def indices(self, name: str, first: int, step: int = 1) -> list[int]:
        """The numbers that tensors of one kind have where `name` has `*`.

        Raises CheckpointError unless they run from `first` on without a gap, `step` apart.
        """
        pattern = re.compile(re.escape(name).replace(r"\*", f"([0-9]{{1,{MAX_DIGITS}}})"))
        found = sorted({int(match[1]) for match in map(pattern.fullmatch, self.arrays) if match})
        if not found or found != list(range(first, first + step * len(found), step)):
            raise CheckpointError(
                f"the checkpoint's tensors {name} are numbered {found[:8]}, expected {first}, {first + step}, ..."
            )
        return found
