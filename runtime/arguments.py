"""Arrays and words that callers give, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.errors import InputError
from runtime.noise import as_floats

OUTPUTS = ("image", "pixels")
MAX_PSI = 100.0
"""Largest |psi|: artists stay within 5, and far above it float32 overflows into NaN."""


def check_output(output: str) -> None:
    """Raise InputError unless a synthesis graph has such an output."""
    if output not in OUTPUTS:
        raise InputError(f"output {output!r} is unknown, expected one of {', '.join(OUTPUTS)}")


def check_psi(psi: Any, name: str = "psi") -> float:
    """A truncation factor, or another factor of styles, within bounds. Raises InputError otherwise."""
    try:
        value = float(psi)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {psi!r}, expected a number") from None
    if not abs(value) <= MAX_PSI:
        raise InputError(f"{name} is {value:g}, expected a finite number from {-MAX_PSI:g} to {MAX_PSI:g}")
    return value


def floats(name: str, value: Any, shape: Sequence[int | None]) -> np.ndarray:
    """`value` as a finite, contiguous float32 array of `shape` (None: any length, at least 1). Raises InputError."""
    wanted = "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"
    array = as_floats(value)
    if array is None:
        raise InputError(f"{name} is not an array of numbers, expected float32 {wanted}")
    fits = array.ndim == len(shape) and all(size in (None, length) for size, length in zip(shape, array.shape))
    if not fits or array.size == 0:
        raise InputError(f"{name} has shape {list(array.shape)}, expected {wanted}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity, expected finite numbers")
    return array
