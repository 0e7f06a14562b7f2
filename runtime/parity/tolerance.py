"""How far apart two sets of images may be. The one place for tolerances."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """What is allowed between a reference and what is measured against it."""

    max_relative: float
    """Largest |d|, relative to the reference's own range (its maximum minus its minimum)."""
    level_fraction: float
    """Share of 8-bit values that may differ at all, of images within [-1, 1]; see NOMINAL_RMS."""
    levels_max: int
    """Largest difference of one 8-bit value."""
    psnr_min: float = 0.0
    """Least ratio of the reference's own range to the root mean square of the difference, in dB."""
    exact: bool = True
    """Whether the arithmetic is the reference's own. Where it is not, every level may be off, in proportion to what the
    images hold; see NOMINAL_RMS."""


FLOAT32 = Tolerance(max_relative=1e-4, level_fraction=1e-4, levels_max=1)
"""Float32 graphs against the float32 reference: rounding of sums over up to 4608 terms, 20 layers deep, measured at
2e-6 of the range on official-size networks. A value that lies within that of a whole level may truncate to either side:
so do 3 to 8 in 100,000, most of them by the reference's own rounding."""

ENOUGH_VALUES = 1 << 19
"""8-bit values from which on a share is judged as it is. Values near a whole level are rare and fall at random, so that
among fewer a share of 1 in 10,000 can't be told from twice that."""
NOMINAL_RMS = 1.0
"""The largest root mean square that images within [-1, 1] can have. Float32 rounds in proportion to what it holds, and
a level is a fixed step: a network whose images reach r times as far has r times as many values that rounding moves
across one. So the share allowed grows with the reference's own root mean square above this."""
MANY = 500
"""Values expected to differ from which on chance matters no more than for `ENOUGH_VALUES`; the terms of the sum below
would vanish from 745 on."""
CONFIDENCE = 0.999
"""Among fewer values, the count allowed is what a true share at the tolerance stays within with this probability."""

FLOAT16 = Tolerance(max_relative=2e-2, level_fraction=1.0, levels_max=4, psnr_min=50.0, exact=False)
"""Float16 convolutions against the float32 reference: 11 bits a value, 20 layers deep. Measured at 62 to 83 dB and 1 or
2 levels. The limits are what the project promises; what is far from them is a defect, or a network that overflows."""

BFLOAT16 = Tolerance(max_relative=8e-2, level_fraction=1.0, levels_max=16, psnr_min=40.0, exact=False)
"""Bfloat16 against the float32 reference: 8 bits a value instead of float16's 11, so an error eight times as large, or
18 dB. OpenVINO's, of whole networks on a CPU that has it, was measured at 49 to 52 dB, where the root mean square is
0.6 to 0.9 levels. The limits are 9 dB below that, four times float16's levels and four times its share of the range."""

EIGHT_BITS = Tolerance(max_relative=1.0, level_fraction=1.0, levels_max=255, psnr_min=35.0, exact=False)
"""Int8 convolutions against the float32 reference: a step of 1/127 of the largest value a layer was calibrated with.
Measured at 43.2 dB on the bundled checkpoint. Only the PSNR is a promise: a value beyond what was calibrated is cut
off, so that single ones were 57 levels off there where the mean was 2.2; the other limits are all that there can be."""

FLOAT8 = Tolerance(max_relative=1.0, level_fraction=1.0, levels_max=255, psnr_min=30.0, exact=False)
"""Float8 (e4m3) convolutions against the float32 reference. Three bits behind the leading one round a value by up to a
sixteenth, where int8's seven round the largest by a 254th. Measured at 36.2 dB on the bundled checkpoint, with single
values 119 levels off: 30 dB is what three bits give. The other limits are as above."""

FP32, FP16, BF16, INT8, FP8 = "fp32", "fp16", "bf16", "int8", "fp8"
TOLERANCES = {FP32: FLOAT32, FP16: FLOAT16, BF16: BFLOAT16, INT8: EIGHT_BITS, FP8: FLOAT8}
"""By precision."""


def allowed_share(share: float, count: int) -> float:
    """`share` itself for many values; for few, the Poisson bound that a true share of it stays within."""
    mean = share * count
    if count == 0 or count >= ENOUGH_VALUES or mean >= MANY:
        return min(share, 1.0)
    term = total = math.exp(-mean)
    bound = 0
    while total < CONFIDENCE:
        bound += 1
        term *= mean / bound
        total += term
    return min(1.0, max(share, bound / count))
