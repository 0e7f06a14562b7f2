"""Truncation in NumPy: one rule for the generator, the golden samples and what checks them."""

from __future__ import annotations

import numpy as np


def towards_mean(w: np.ndarray, mean: np.ndarray, psi: float | np.ndarray) -> np.ndarray:
    """`w` [..., w_dim] moved towards `mean` [w_dim] in float32: `mean + psi * (w - mean)`, and exactly `w` at psi 1.

    `psi` is a number, or an array that broadcasts against `w`. A subtraction, a product and a sum, each a pass of its
    own and so rounded as IEEE 754 says: the same bits on every machine.
    """
    factor = np.asarray(psi, np.float32)
    if factor.ndim == 0 and factor == 1:
        return w
    return np.where(factor == 1, w, mean + factor * (w - mean))
