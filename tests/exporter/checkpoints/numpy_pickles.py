"""Arrays and scalars as NumPy pickles them, under the names of the versions that wrote the official files."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.exporter.checkpoints.snapshots import Call, Name

RECONSTRUCT = Name("numpy.core.multiarray", "_reconstruct")
FROM_BUFFER = Name("numpy.core.numeric", "_frombuffer")
SCALAR = Name("numpy.core.multiarray", "scalar")
EMPTY = (Name("numpy", "ndarray"), (0,), b"b")


def dtype_of(code: Any, order: str = "<") -> Call:
    """An element type."""
    return Call(Name("numpy", "dtype"), (code, False, True), (3, order, None, None, None, -1, -1, 0))


FLOAT = dtype_of("f4")


def claimed_array(shape: Any, data: Any, dtype: Any = FLOAT, fortran: bool = False) -> Call:
    """An array of protocol 4 and below that says it has this shape and these bytes."""
    return Call(RECONSTRUCT, EMPTY, (1, shape, dtype, fortran, data))


def array_of(array: np.ndarray, protocol: int = 4) -> Call:
    """An honest array; a float32 without dimensions is written as the scalar that it is."""
    order, code = array.dtype.str[0], array.dtype.str[1:]
    dtype = FLOAT if array.dtype == np.float32 else dtype_of(code, order)
    if array.ndim == 0:
        return Call(SCALAR, (dtype, array.tobytes()))
    if protocol >= 5:
        return Call(FROM_BUFFER, (bytearray(array.tobytes()), dtype, array.shape, "C"))
    return claimed_array(array.shape, array.tobytes(), dtype)
