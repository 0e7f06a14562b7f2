"""How two sets of images are compared, and how far apart they may be."""

from runtime.parity.assertion import assert_same
from runtime.parity.comparison import Comparison, Figures, all_passed
from runtime.parity.pixels import PIXEL_OFFSET, PIXEL_SCALE, to_pixels
from runtime.parity.tolerance import (
    BF16,
    BFLOAT16,
    EIGHT_BITS,
    ENOUGH_VALUES,
    FLOAT8,
    FLOAT16,
    FLOAT32,
    FP8,
    FP16,
    FP32,
    INT8,
    TOLERANCES,
    Tolerance,
    allowed_share,
)

__all__ = [
    "BF16",
    "BFLOAT16",
    "EIGHT_BITS",
    "ENOUGH_VALUES",
    "FLOAT8",
    "FLOAT16",
    "FLOAT32",
    "FP8",
    "FP16",
    "FP32",
    "INT8",
    "PIXEL_OFFSET",
    "PIXEL_SCALE",
    "TOLERANCES",
    "Comparison",
    "Figures",
    "Tolerance",
    "all_passed",
    "allowed_share",
    "assert_same",
    "to_pixels",
]
