"""A state dict: tensors by name, whose names number a network's layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runtime.errors import CheckpointError

MAX_DIGITS = 3
"""Digits of a layer's number; no network has a thousand."""


@dataclass(frozen=True)
class State:
    """The tensors of a generator, by name."""

    arrays: Mapping[str, np.ndarray]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def get(self, name: str, dimensions: int) -> np.ndarray:
        """A tensor of that many dimensions. Raises CheckpointError where there is none."""
        array = self.arrays.get(name)
        if array is None or array.ndim != dimensions or array.size == 0:
            raise CheckpointError(f"the checkpoint lacks the {dimensions}-dimensional tensor {name}")
        return array

    def indices(self, pattern: str, first: int, step: int = 1) -> list[int]:
        """The numbers that a kind of layer has, which must run from `first` on without a gap, `step` apart."""
        matches = (re.match(pattern, name) for name in self.arrays)
        found = sorted({int(match[1]) for match in matches if match and len(match[1]) <= MAX_DIGITS})
        if not found or found != list(range(first, first + step * len(found), step)):
            raise CheckpointError(
                f"the checkpoint's layers {pattern!r} are numbered {found[:8]}, expected {first}, {first + step}, ..."
            )
        return found
