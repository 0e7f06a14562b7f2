"""Tensors in JSON and as raw bytes: there and back, and nothing but the documented error for what is malformed."""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from runtime.server.errors import BadRequestError
from runtime.server.inference.tensors import (
    BF16,
    BYTES,
    DTYPES,
    MAX_DIMENSIONS,
    MAX_SIZE,
    check_datatype,
    check_shape,
    from_binary,
    from_json,
    to_binary,
    to_json,
)

NUMBERS = sorted(set(DTYPES) - {BF16, BYTES})
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
FINITE = {"allow_nan": False, "allow_infinity": False}


def equal(found: np.ndarray, expected: np.ndarray) -> None:
    """Value for value, -0 and NaN too."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@settings(deadline=None)
@given(st.data(), st.sampled_from(NUMBERS), SHAPES)
def test_numbers_come_back(data: st.DataObject, datatype: str, shape: tuple[int, ...]) -> None:
    array = data.draw(arrays.arrays(DTYPES[datatype], shape))
    equal(from_binary("x", datatype, shape, to_binary(datatype, array)), array)
    if not np.isfinite(array.astype(np.float64)).all():
        return
    for values in (to_json("x", datatype, array), array.tolist() if shape else [array.tolist()]):  # flat, and nested
        equal(from_json("x", datatype, shape, json.loads(json.dumps(values))), array)


@settings(deadline=None)
@given(arrays.arrays(np.uint16, st.integers(0, 20)))
def test_bf16_is_the_upper_half_of_float32(bits: np.ndarray) -> None:
    known = bits.view(ml_dtypes.bfloat16)
    array = from_binary("x", BF16, bits.shape, bits.tobytes())
    np.testing.assert_array_equal(array, known.astype(np.float32))
    written = np.frombuffer(to_binary(BF16, array), ml_dtypes.bfloat16)
    np.testing.assert_array_equal(written.astype(np.float32), array)


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.integers(0, 20)))
def test_bf16_is_rounded_as_others_round_it(array: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        known = array.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(np.frombuffer(to_binary(BF16, array), ml_dtypes.bfloat16).astype(np.float32), known)
    if np.isfinite(array).all():
        np.testing.assert_array_equal(from_json("x", BF16, array.shape, array.tolist()), known)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=9))
def test_strings_are_written_as_tritons_client_does(values: list[bytes]) -> None:
    array = np.array([*values, b""], object)[:-1]
    raw = to_binary(BYTES, array)
    assert raw == (serialize_byte_tensor(array).item() if values else b"")
    assert deserialize_bytes_tensor(raw).tolist() == values
    assert from_binary("x", BYTES, array.shape, raw).tolist() == values


@settings(deadline=None)
@given(st.lists(st.text(max_size=9), max_size=9))
def test_text_comes_back(values: list[str]) -> None:
    array = from_json("x", BYTES, (len(values),), values)
    assert array.tolist() == [value.encode() for value in values]
    assert to_json("x", BYTES, array) == values


@settings(deadline=None)
@given(st.sampled_from(sorted(DTYPES)), SHAPES, st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(datatype: str, shape: tuple[int, ...], raw: bytes) -> None:
    try:
        array = from_binary("x", datatype, shape, raw)
    except BadRequestError:
        return
    assert array.shape == shape
    if datatype != BF16:  # whose NaN is written as one of them
        assert to_binary(datatype, array) == raw


@settings(deadline=None)
@given(
    st.sampled_from(sorted(DTYPES)),
    SHAPES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just({}),
        lambda inner: st.lists(inner, max_size=4),
    ),
)
def test_any_values_are_read_or_refused(datatype: str, shape: tuple[int, ...], data: Any) -> None:
    try:
        array = from_json("x", datatype, shape, data)
    except BadRequestError:
        return
    assert array.shape == shape
    assert array.dtype == DTYPES[datatype]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("FP32", (2,), [1.0], r"x has 1 values, expected 2: shape \[2\]"),
        ("FP32", (2,), None, "x has no array 'data', and no binary_data_size among its parameters"),
        ("FP32", (1,), [True], "x holds True, expected numbers for FP32"),
        ("FP32", (1,), [None], "x holds None, expected numbers for FP32"),
        ("FP32", (1,), ["1"], "x holds '1', expected numbers for FP32"),
        ("FP32", (1,), [[1]], "x holds a list, expected numbers for FP32"),
        ("FP32", (1,), [10**400], "x holds a huge number, expected FP32"),
        ("INT8", (2,), [0, 128], "x holds 128, expected -128 to 127 for INT8"),
        ("UINT64", (1,), [-1], "x holds -1, expected 0 to 18446744073709551615 for UINT64"),
        ("INT64", (1,), [1.0], "x holds 1.0, expected whole numbers for INT64"),
        ("BOOL", (1,), [1], "x holds 1, expected true or false for BOOL"),
        ("BYTES", (1,), [1], "x holds 1, expected strings for BYTES"),
        ("BYTES", (1,), ["\ud800"], "x holds text that is not Unicode"),
        ("FP32", (2, 2), [[1, 2], [3]], r"x is not nested as its shape \[2, 2\] in dimension 1"),
        ("FP32", (2, 2), [[1, 2], 3], r"x is not nested as its shape \[2, 2\] in dimension 1"),
        ("FP32", (2, 1), [[1], [2], [3]], r"x is not nested as its shape \[2, 1\] in dimension 0"),
    ],
)
def test_wrong_values(datatype: str, shape: tuple[int, ...], data: Any, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        from_json("x", datatype, shape, data)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "message"),
    [
        ("FP32", (2,), bytes(7), r"x has 7 bytes, expected 8: FP32 of shape \[2\]"),
        ("FP16", (2,), bytes(5), "x has 5 bytes, expected 4"),
        ("BF16", (2,), bytes(8), "x has 8 bytes, expected 4"),
        ("BOOL", (2,), b"\1\2", "x holds a byte that is neither 0 nor 1"),
        ("BYTES", (1,), b"", "x ends after 0 elements of BYTES, expected 1"),
        ("BYTES", (1,), b"\1\0\0", "x ends after 0 elements of BYTES, expected 1"),
        ("BYTES", (1,), b"\2\0\0\0a", "element 0 of x ends 1 bytes after the tensor"),
        ("BYTES", (1,), b"\xff\xff\xff\xffa", "element 0 of x ends 4294967294 bytes after the tensor"),
        ("BYTES", (1,), b"\0\0\0\0a", "x has 1 bytes after its 1 elements of BYTES"),
        ("BYTES", (MAX_SIZE, MAX_SIZE), b"", "x ends after 0 elements of BYTES"),
    ],
)
def test_wrong_bytes(datatype: str, shape: tuple[int, ...], raw: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        from_binary("x", datatype, shape, raw)


def test_bytes_that_are_no_text_are_no_json() -> None:
    with pytest.raises(BadRequestError, match="x is not UTF-8 text, which JSON needs; ask for it as binary_data"):
        to_json("x", BYTES, np.array([b"\xff"], object))


def test_shapes_and_datatypes() -> None:
    assert check_shape("x", [2, 0]) == (2, 0)
    assert math.prod(check_shape("x", [])) == 1
    for shape in ([-1], [MAX_SIZE + 1], [10**30], [1] * (MAX_DIMENSIONS + 1)):
        with pytest.raises(BadRequestError, match="dimension"):
            check_shape("x", shape)
    with pytest.raises(BadRequestError, match=r"x has datatype 'FP8', expected one of BOOL, .*, BYTES"):
        check_datatype("x", "FP8")
