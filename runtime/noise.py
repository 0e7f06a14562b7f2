"""Noise inputs: what `noise="const" | "none" | seed | arrays` means, in one place for every network and backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from runtime.errors import InputError
from runtime.spec import GeneratorSpec

Noise = Any
"""`"const"` (the checkpoint's own buffers), `"none"`, an int seed, or one array [N or 1, 1, H, W] a noisy layer."""

NO_NOISE = "none: the network takes none"
"""What is said of the noise of a network that has no noise input."""
MAX_SEED = 2**32 - 1
"""Largest seed that NumPy's RandomState, and so the official scripts, take."""


def resolve_noise(spec: GeneratorSpec, noise: Noise, stored: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
    """One float32 array [N or 1, 1, H, W] a noisy layer, in synthesis order; None where the images take no noise.

    `stored` holds the checkpoint's own buffers, [H, W] each, for `"const"`. A seed gives the same noise to every image
    of a batch, so that an image does not depend on its companions. Raises InputError for anything else.
    """
    if isinstance(noise, str):
        if noise == "none":
            return None
        if noise == "const":
            if stored is None:
                raise InputError("noise 'const' was asked for, but no stored noise is at hand")
            return [np.asarray(array, np.float32)[None, None] for array in stored]
    elif isinstance(noise, (int, np.integer)) and not isinstance(noise, bool):
        return seeded_noise(spec, int(noise))
    elif isinstance(noise, Sequence):
        return _explicit_noise(spec, noise)
    found = repr(noise) if isinstance(noise, (str, float, bool)) else f"a {type(noise).__name__}"
    raise InputError(f"noise is {found}, expected 'const', 'none', an int seed, or a list of arrays")


def noise_arrays(spec: GeneratorSpec, noise: Noise, stored: Sequence[np.ndarray] | None) -> list[np.ndarray]:
    """Like `resolve_noise`, with zeros where the images take no noise: what a graph with noise inputs is fed."""
    arrays = resolve_noise(spec, noise, stored)
    return [np.zeros((1, 1, *shape), np.float32) for shape in spec.noise_shapes] if arrays is None else arrays


def batched_noise(per_image: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Each image's noise [1, 1, H, W] a layer -> one batch's, [N, 1, H, W] a layer; none where the images take none."""
    return [np.concatenate(layer) for layer in zip(*per_image)]


def seeded_noise(spec: GeneratorSpec, seed: int) -> list[np.ndarray]:
    """Standard normal noise [1, 1, H, W] a layer, drawn in synthesis order from one `RandomState(seed)`."""
    check_seed(seed)
    return list(_drawn_noise(spec.noise_shapes, seed))


@lru_cache(maxsize=2)
def _drawn_noise(shapes: tuple[tuple[int, int], ...], seed: int) -> tuple[np.ndarray, ...]:
    """Kept for the next batch of the same call: a 1024 px network draws 2.8 million values. Nobody writes into them."""
    random = np.random.RandomState(seed)
    return tuple(random.randn(1, 1, *shape).astype(np.float32) for shape in shapes)


def as_floats(value: Any) -> np.ndarray | None:
    """`value` as a contiguous float32 array, values beyond float32 as infinity; None where it holds no real numbers."""
    try:
        array = np.asarray(value)
        if array.dtype == np.float32:  # as nearly always; the rest takes longer than a small network's layer
            return np.ascontiguousarray(array)
        if array.dtype.kind not in "fiub":
            return None
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32)
    except (TypeError, ValueError):
        return None


def check_whole(what: str, value: Any) -> int:
    """`value` as an int. Raises InputError where it is no whole number."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise InputError(f"{what} is {value!r}, expected a whole number")


def check_seed(seed: int) -> None:
    """Raise InputError where NumPy's RandomState would not take `seed`."""
    if not 0 <= check_whole("seed", seed) <= MAX_SEED:
        raise InputError(f"seed {seed} is out of range, expected 0 to {MAX_SEED}")


def _explicit_noise(spec: GeneratorSpec, arrays: Sequence[Any]) -> list[np.ndarray]:
    shapes = spec.noise_shapes
    if len(arrays) != len(shapes):
        raise InputError(f"{len(arrays)} noise arrays given, expected {len(shapes)}: one a noisy layer")
    resolved = []
    for index, (array, (height, width)) in enumerate(zip(arrays, shapes)):
        values = as_floats(array)
        if values is None:
            raise InputError(f"noise array {index} is not an array of numbers, expected [N or 1, 1, {height}, {width}]")
        if values.ndim != 4 or values.shape[1:] != (1, height, width) or not len(values):
            raise InputError(
                f"noise array {index} has shape {list(values.shape)}, expected [N or 1, 1, {height}, {width}]"
            )
        if not np.isfinite(values).all():
            raise InputError(f"noise array {index} holds NaN or infinity, expected finite numbers")
        resolved.append(values)
    return resolved
