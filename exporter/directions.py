"""Directions in W that a bundle carries for edits: named arrays, read from a user's `.npz` file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from runtime.bundle import check_directions
from runtime.errors import BundleError, InputError
from runtime.spec import GeneratorSpec

MAX_FILE_BYTES = 64 << 20
"""Of a file of directions: a thousand of [18, 512] have 37 MB."""


def read_directions(path: str | Path, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    """Directions of a `.npz` file by name: float32 [w_dim] or [num_ws, w_dim], of real numbers of any type.

    Raises InputError where the file can't be read or holds anything else. Pickled objects are refused.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes, over the limit of {MAX_FILE_BYTES:,}")
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise InputError(f"{path}: is one array without a name, expected an .npz file of named directions")
        with opened as arrays:
            directions = {name: _floats(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an .npz file of numbers"
        raise InputError(f"{path}: directions can't be read ({reason}); write them with numpy.savez") from None
    if not directions:
        raise InputError(f"{path}: holds no direction; write them with numpy.savez, or leave --directions out")
    try:
        check_directions(spec, directions, str(path))
    except BundleError as error:  # the user's file, not a bundle's
        raise InputError(str(error)) from None
    return directions


def directions_bytes(directions: Mapping[str, np.ndarray]) -> bytes:
    """The same as a bundle's file: the same directions, the same bytes."""
    file = io.BytesIO()
    np.savez(file, **dict(sorted(directions.items())))  # type: ignore[arg-type]
    return file.getvalue()


def _floats(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise ValueError(array.dtype)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)
