"""The resampling filter that a network's layers share, as one-dimensional taps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.errors import CheckpointError
from runtime.spec import MAX_FILTER_TAPS

SEPARABLE_TOLERANCE = 1e-6
"""How far a stored two-dimensional filter may be from the outer product of its taps: float32 rounding."""


def shared_taps(kernels: Sequence[np.ndarray], gain: float = 1.0) -> tuple[float, ...]:
    """Taps of sum 1 of the filter that all `kernels` are: [T] taps, or [T, T] their outer product times `gain`.

    Raises CheckpointError where they differ, or are not separable.
    """
    if not kernels:
        raise CheckpointError("the layers have no resampling filter, which is not supported")
    first = kernels[0]
    square = first.ndim == 1 or (first.ndim == 2 and first.shape[0] == first.shape[1])
    if not square or not 1 <= first.shape[0] <= MAX_FILTER_TAPS:
        raise CheckpointError(f"the resampling filter has shape {list(first.shape)}, expected taps or a small square")
    if any(kernel.shape != first.shape or not np.array_equal(kernel, first) for kernel in kernels):
        raise CheckpointError("the layers' resampling filters differ; one filter for all is supported")
    if not np.isfinite(first).all():
        raise CheckpointError("the resampling filter holds NaN or infinity")
    kernel = first.astype(np.float64) / gain
    taps = kernel if kernel.ndim == 1 else kernel.sum(axis=-1)
    if kernel.ndim == 2 and np.abs(np.outer(taps, taps) - kernel).max() > SEPARABLE_TOLERANCE:
        raise CheckpointError("the resampling filter is not separable, which is not supported")
    return tuple(float(tap) for tap in taps)
