"""The types that a graph's inputs and outputs may have, in NumPy's words and in TensorRT's."""

from __future__ import annotations

from typing import Any

NAMES = ("float32", "float16", "uint8", "bool", "int32")
"""TensorRT narrows float64 without a word, and 8.6 int64; every version has these."""


def name_of(trt: Any, dtype: Any) -> str | None:
    """NumPy's name of a TensorRT type; None for one that no graph of ours has."""
    known = (trt.DataType.FLOAT, trt.DataType.HALF, trt.DataType.UINT8, trt.DataType.BOOL, trt.DataType.INT32)
    return next((name for name, item in zip(NAMES, known) if item == dtype), None)
