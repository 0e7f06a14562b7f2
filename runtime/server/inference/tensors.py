"""Tensors as the Open Inference Protocol writes them: values in JSON, or raw little-endian bytes, row by row."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from runtime.errors import quoted
from runtime.server.errors import BadRequestError

MAX_DIMENSIONS = 16
"""Dimensions of a tensor; ours have 4 at most."""
MAX_SIZE = 2**31 - 1
"""Size of a dimension: more than any body has room for."""
LENGTH = struct.Struct("<I")
"""What goes before each element of BYTES."""

BF16, BOOL, BYTES = "BF16", "BOOL", "BYTES"
DTYPES: dict[str, np.dtype] = {
    BOOL: np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    BF16: np.dtype("<f4"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(object),
}
"""The NumPy type that holds a datatype's values. NumPy has no BF16: float32 holds each exactly."""
FLOATS = ("FP16", BF16, "FP32", "FP64")
INTEGERS = tuple(name for name, dtype in DTYPES.items() if dtype.kind in "iu")

Shape = tuple[int, ...]


def check_datatype(name: str, datatype: str) -> str:
    """`datatype`. Raises BadRequestError where the protocol has none such."""
    if datatype not in DTYPES:
        raise BadRequestError(f"{name} has datatype {quoted(datatype)}, expected one of {', '.join(DTYPES)}")
    return datatype


def check_shape(name: str, shape: Sequence[int]) -> Shape:
    """`shape`. Raises BadRequestError where a tensor can't have it."""
    if len(shape) > MAX_DIMENSIONS:
        raise BadRequestError(f"{name} has {len(shape)} dimensions, {MAX_DIMENSIONS} is the limit")
    for size in shape:
        if not 0 <= size <= MAX_SIZE:
            raise BadRequestError(f"{name} has a dimension of {quoted(size)}, expected 0 to {MAX_SIZE}")
    return tuple(shape)


def from_json(name: str, datatype: str, shape: Shape, data: Any) -> np.ndarray:
    """Values of a JSON document, flat or nested as `shape`, as an array. Raises BadRequestError."""
    values = _flat(name, shape, data)
    kind = DTYPES[datatype].kind
    allowed = _JSON_TYPES[kind]
    for found in set(map(type, values)):
        if found not in allowed:
            wrong = next(value for value in values if type(value) is found)
            raise BadRequestError(f"{name} holds {quoted(wrong)}, expected {_JSON_NAMES[kind]} for {datatype}")
    array = _MAKERS[kind](name, datatype, values)
    return _rounded_to_bf16(array).reshape(shape) if datatype == BF16 else array.reshape(shape)


def from_binary(name: str, datatype: str, shape: Shape, raw: bytes | memoryview) -> np.ndarray:
    """The array that raw bytes are, in memory of its own. Raises BadRequestError."""
    count = math.prod(shape)
    if datatype == BYTES:
        return _objects(list(_elements(name, count, memoryview(raw)))).reshape(shape)
    stored = np.dtype("<u2") if datatype == BF16 else DTYPES[datatype]
    if len(raw) != count * stored.itemsize:
        raise BadRequestError(
            f"{name} has {len(raw)} bytes, expected {count * stored.itemsize}: {datatype} of shape {list(shape)}"
        )
    if datatype == BOOL and any(np.frombuffer(raw, np.uint8) > 1):
        raise BadRequestError(f"{name} holds a byte that is neither 0 nor 1, expected {BOOL}")
    array = np.frombuffer(raw, stored)
    if datatype == BF16:
        return (array.astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return array.astype(stored.newbyteorder("=")).reshape(shape)  # a copy, aligned, free of the body that it came in


def to_json(name: str, datatype: str, array: np.ndarray) -> list[Any]:
    """The values of an array, flat. Raises BadRequestError for BYTES that are not UTF-8 text: JSON has no others."""
    if datatype != BYTES:
        return array.ravel().tolist()
    try:
        return [bytes(item).decode() for item in array.ravel()]
    except UnicodeDecodeError:
        raise BadRequestError(f"{name} is not UTF-8 text, which JSON needs; ask for it as binary_data") from None


def to_binary(datatype: str, array: np.ndarray) -> bytes:
    """The raw bytes of an array."""
    if datatype == BYTES:
        return b"".join(LENGTH.pack(len(item)) + item for item in map(bytes, array.ravel()))
    if datatype == BF16:
        return (_rounded_to_bf16(array).view(np.uint32) >> 16).astype("<u2").tobytes()
    return array.astype(DTYPES[datatype], copy=False).tobytes()


def _flat(name: str, shape: Shape, data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequestError(f"{name} has no array 'data', and no binary_data_size among its parameters")
    count = math.prod(shape)
    if data and len(shape) > 1 and isinstance(data[0], list):
        data = _unnested(name, shape, data)
    if len(data) != count:
        raise BadRequestError(f"{name} has {len(data)} values, expected {count}: shape {list(shape)}")
    return data


def _unnested(name: str, shape: Shape, data: list[Any]) -> list[Any]:
    """Values that are nested as `shape`, row after row."""
    rows = [data]
    for depth, size in enumerate(shape):
        if any(not isinstance(row, list) or len(row) != size for row in rows):
            raise BadRequestError(f"{name} is not nested as its shape {list(shape)} in dimension {depth}")
        rows = [item for row in rows for item in row]
    return rows


def _elements(name: str, count: int, raw: memoryview) -> Iterator[bytes]:
    position = 0
    for index in range(count):
        start = position + LENGTH.size
        if start > len(raw):
            raise BadRequestError(f"{name} ends after {index} elements of {BYTES}, expected {count}")
        position = start + LENGTH.unpack_from(raw, position)[0]
        if position > len(raw):
            raise BadRequestError(f"element {index} of {name} ends {position - len(raw)} bytes after the tensor")
        yield bytes(raw[start:position])
    if position != len(raw):
        raise BadRequestError(f"{name} has {len(raw) - position} bytes after its {count} elements of {BYTES}")


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _booleans(name: str, datatype: str, values: list[Any]) -> np.ndarray:
    return np.array(values, np.bool_)


def _integers(name: str, datatype: str, values: list[Any]) -> np.ndarray:
    dtype = DTYPES[datatype]
    bounds = np.iinfo(dtype)
    for value in (min(values, default=0), max(values, default=0)):
        if not bounds.min <= value <= bounds.max:
            raise BadRequestError(f"{name} holds {quoted(value)}, expected {bounds.min} to {bounds.max} for {datatype}")
    return np.array(values, dtype)


def _floats(name: str, datatype: str, values: list[Any]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # infinity then, which no model takes
            return np.array(values, np.float64).astype(DTYPES[datatype])
    except OverflowError:
        raise BadRequestError(f"{name} holds a huge number, expected {datatype}") from None


def _texts(name: str, datatype: str, values: list[Any]) -> np.ndarray:
    try:
        return _objects([value.encode() for value in values])
    except UnicodeEncodeError:
        raise BadRequestError(f"{name} holds text that is not Unicode") from None


def _rounded_to_bf16(array: np.ndarray) -> np.ndarray:
    """float32 values of which each is a BF16: the nearest, and of two equally near the even one."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(array), np.uint32(0x7FC00000), nearest).view(np.float32)


_JSON_TYPES: dict[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "O": frozenset({str}),
}
_JSON_NAMES = {"b": "true or false", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "O": "strings"}
_MAKERS: dict[str, Callable[[str, str, list[Any]], np.ndarray]] = {
    "b": _booleans,
    "i": _integers,
    "u": _integers,
    "f": _floats,
    "O": _texts,
}
"""By the kind of the NumPy type."""
