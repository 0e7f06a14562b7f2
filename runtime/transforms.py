"""Where StyleGAN3's image is drawn from: 3x3 matrices that turn and move its first features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from runtime.errors import InputError
from runtime.noise import as_floats

MAX_TRANSLATION = 1e3
"""Largest move in image widths; beyond it float32 no longer resolves the pixels."""
MAX_DEGREES = 1e6
"""Largest turn."""


def make_transform(rotate: float = 0.0, translate: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The `transform` [3, 3] of an image turned by `rotate` degrees (counter-clockwise) and moved by `translate`.

    A move is in image widths, x to the right and y down. The matrix says where each point of the picture comes from:
    it is the inverse of the picture's own motion. Raises InputError for a number out of range.
    """
    for what, values, bound in (("rotate", (rotate,), MAX_DEGREES), ("translate", translate, MAX_TRANSLATION)):
        for value in values:
            if not abs(value) <= bound:
                raise InputError(f"{what} is {value:g}, expected a finite number from {-bound:g} to {bound:g}")
    angle = math.radians(rotate)
    cos, sin = math.cos(angle), math.sin(angle)
    motion = np.array([[cos, sin, translate[0]], [-sin, cos, translate[1]], [0, 0, 1]])
    return np.linalg.inv(motion).astype(np.float32)


def check_transform(value: Any, count: int) -> np.ndarray:
    """`value` as float32 [1 or `count`, 3, 3]. Raises InputError where it is none."""
    array = as_floats(value)
    if array is not None and array.shape == (3, 3):
        array = array[None]
    if array is None or array.ndim != 3 or array.shape[1:] != (3, 3) or len(array) not in (1, count):
        found = "not an array of numbers" if array is None else f"of shape {list(array.shape)}"
        raise InputError(f"transform is {found}, expected [3, 3] or [{count} or 1, 3, 3]")
    if not np.isfinite(array).all():
        raise InputError("transform holds NaN or infinity, expected finite numbers")
    return array
