"""Ways to change an array: what becomes of a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SIGN, EXPONENT, MANTISSA, LOWEST = 31, 23, 22, 0
"""Bits of a float32: the sign, the lowest of the exponent, the highest and the lowest of the mantissa."""
HALF_EXPONENT = 10
"""The lowest bit of a float16's exponent."""
TEN_BITS = 13
"""Bits of a float32's mantissa that TF32 does without."""


def bit(number: int, at: Sequence[int] = (0, 1)) -> Callable[[np.ndarray], np.ndarray]:
    """One bit of one weight the other way. `at` is the first numbers of its place, the others are 0."""

    def edit(array: np.ndarray) -> np.ndarray:
        bits = array.view(np.uint32 if array.dtype == np.float32 else np.uint16)
        place = tuple(at)[: array.ndim]
        bits[place + (0,) * (array.ndim - len(place))] ^= bits.dtype.type(1 << number)
        return array

    return edit


def rounded(array: np.ndarray) -> np.ndarray:
    """To ten bits of mantissa."""
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = (bits + (1 << TEN_BITS - 1)) >> TEN_BITS << TEN_BITS
    return rounded.astype(np.uint32).view(np.float32)


def turned(array: np.ndarray) -> np.ndarray:
    """Kernels with rows for columns."""
    return np.ascontiguousarray(array.swapaxes(-1, -2))


def mirrored(array: np.ndarray) -> np.ndarray:
    """Kernels from the other end."""
    return np.ascontiguousarray(array[..., ::-1, ::-1])


def reordered(array: np.ndarray) -> np.ndarray:
    """Red for blue."""
    return np.ascontiguousarray(array[::-1])


def nothing(array: np.ndarray) -> np.ndarray:
    """Zeros."""
    return np.zeros_like(array)


def times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Another size."""
    return lambda array: (array * factor).astype(array.dtype)


def centre_alone(kernel: np.ndarray) -> np.ndarray:
    """A filter that does nothing."""
    alone = np.zeros_like(kernel)
    alone[..., kernel.shape[-2] // 2, kernel.shape[-1] // 2] = 1
    return alone


def mask_off_by_one(mask: np.ndarray) -> np.ndarray:
    """The first source for one row less."""
    mask = mask.copy()
    mask[2] = mask[3]
    return mask


def mask_exchanged(mask: np.ndarray) -> np.ndarray:
    """Blended sources with each other's weights."""
    mask = mask.copy()
    mask[3:] = mask[3:, [0, 2, 1]]
    return mask


def mask_sources_swapped(mask: np.ndarray) -> np.ndarray:
    """The first and second source with each other's rows."""
    return mask[:, [1, 0, 2]]
