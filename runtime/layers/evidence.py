"""What the values of a layer alone say of why they are not the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from runtime.layers.difference import Difference
from runtime.layers.marked import WS
from runtime.layers.reports import Cause, Suspect
from runtime.parity import FP16, FP32

EXPLAINED = 0.01
"""A cause explains a layer where at most this part of the squared error is left: the rest is rounding."""
FLOAT16_MAX = 65504.0
TF32_ERROR = (5e-5, 2e-3)
"""Error of convolutions whose operands have 10 bits, relative to what they put out: roundings by 2^-11 and less make
4e-4; less where an operand had few bits to begin with, more after a few layers."""
LATEST_FIRST = 1
"""Number of the layer by which rounding that all layers have must show."""
EVEN_CHANNELS = 8.0
"""How much more than its share of the error the worst channel may have where all are said to be alike."""
EVEN_BORDER = (0.4, 2.5)
"""Border over inside, where neither is said to stand out."""
ON_BORDER = 4.0
"""Border over inside, where an error is said to be on the border."""
MOST_PERMUTED = 4
"""Channels whose orders are all tried: those of an image."""
WHERE = frozenset({Cause.ONE_CHANNEL, Cause.BORDER})
"""Causes that are known by the place of an error alone."""
SHOWN = 3
"""Causes that are told."""

Test = Callable[[Difference], Iterator[Suspect]]


def suspects_in(difference: Difference) -> list[Suspect]:
    """Causes that the values speak for, the likeliest first."""
    if not difference.own.finite:
        return [_not_finite(difference)]
    tests = OF_ROWS if difference.output.name == WS else TESTS
    return ranked([suspect for test in tests for suspect in test(difference)])


def ranked(suspects: list[Suspect]) -> list[Suspect]:
    """The likeliest first: by what they leave unexplained, one a cause; what explains no value only where none does.

    What says where an error is comes after what says why.
    """
    explaining = [item for item in suspects if item.left is not None and item.left <= EXPLAINED]
    ordered = sorted(
        explaining or suspects, key=lambda item: (item.cause in WHERE, np.inf if item.left is None else item.left)
    )
    first = {item.cause: item for item in reversed(ordered)}
    return [item for item in ordered if first[item.cause] is item][:SHOWN]


def unexplained(reference: np.ndarray, measured: np.ndarray, guess: np.ndarray) -> float:
    """Part of the squared error that is left where `guess` is taken for the reference: 0 explains all."""
    before = float(np.square(measured - reference, dtype=np.float64).sum())
    after = float(np.square(measured - guess, dtype=np.float64).sum())
    return float(np.nan_to_num(after / before, nan=np.inf)) if before > 0 else np.inf


def _not_finite(difference: Difference) -> Suspect:
    wrong = int((~np.isfinite(difference.measured)).sum())
    told = f"{wrong} of {difference.measured.size} values are NaN or infinity"
    if difference.own.reference_max > FLOAT16_MAX and difference.precision == FP16:
        reach = f"the reference reaches {difference.own.reference_max:.0f}, float16 ends at {FLOAT16_MAX:.0f}"
        return Suspect(Cause.FLOAT16_RANGE, f"{told}; {reach}", None)
    return Suspect(Cause.NOT_FINITE, told, None)


def _float16_range(difference: Difference) -> Iterator[Suspect]:
    if difference.precision == FP16 and difference.own.reference_max > FLOAT16_MAX:
        reach = f"the reference reaches {difference.own.reference_max:.0f}, float16 ends at {FLOAT16_MAX:.0f}"
        cut = np.clip(difference.reference, -FLOAT16_MAX, FLOAT16_MAX)
        left = unexplained(difference.reference, difference.measured, cut)
        yield Suspect(Cause.FLOAT16_RANGE, f"{reach}: cut off there it leaves {left:.0%} of the error", left)


def _opset(difference: Difference) -> Iterator[Suspect]:
    if difference.opset != difference.expected_opset:
        told = f"the file is of opset {difference.opset}, the manifest says {difference.expected_opset}"
        yield Suspect(Cause.OPSET, f"{told}: operators may mean something else", None)


def _rows(difference: Difference) -> Iterator[Suspect]:
    """Rows of `ws` that the pipeline graph made wrong."""
    off = np.abs(difference.measured - difference.reference).max(axis=(0, 2))
    rows = np.flatnonzero(off > difference.own.allowed.largest * np.abs(difference.reference).max())
    text = ", ".join(str(row) for row in rows) or "all, slightly"
    yield Suspect(Cause.TRUNCATION, f"rows of ws that differ: {text} (of {len(off)})", None)


def _batch_order(difference: Difference) -> Iterator[Suspect]:
    """Each image of the batch is another one's."""
    count = len(difference.measured)
    for shift in range(1, count):
        left = unexplained(difference.reference, difference.measured, np.roll(difference.reference, shift, axis=0))
        if left <= EXPLAINED:
            yield Suspect(Cause.BATCH_ORDER, f"each image is the one {shift} before it in the batch", left)
    for index in range(count if count > 1 else 0):
        one = np.broadcast_to(difference.reference[index], difference.reference.shape)
        left = unexplained(difference.reference, difference.measured, one)
        if left <= EXPLAINED:
            yield Suspect(Cause.BATCH_ORDER, f"all images of the batch are image {index}", left)


def _channel_order(difference: Difference) -> Iterator[Suspect]:
    channels = difference.reference.shape[1]
    for order in permutations(range(channels)) if 1 < channels <= MOST_PERMUTED else ():
        left = unexplained(difference.reference, difference.measured, difference.reference[:, list(order)])
        if left <= EXPLAINED:
            yield Suspect(Cause.CHANNEL_ORDER, f"its channels are the reference's {', '.join(map(str, order))}", left)


def _gain(difference: Difference) -> Iterator[Suspect]:
    reference, measured = difference.reference.astype(np.float64), difference.measured.astype(np.float64)
    gain = float((reference * measured).sum() / max(float((reference**2).sum()), 1e-300))
    left = unexplained(reference, measured, reference * gain)
    if left <= EXPLAINED:
        yield Suspect(Cause.GAIN, f"it is the reference's times {gain:.5g}", left)


def _bias(difference: Difference) -> Iterator[Suspect]:
    """Each channel is off by a constant, in all images alike."""
    error = difference.measured.astype(np.float64) - difference.reference
    constant = error.mean(axis=(0, 2), keepdims=True)
    left = unexplained(difference.reference, difference.measured, difference.reference + constant)
    if left <= EXPLAINED and error.shape[2] > 1:
        worst = int(np.abs(constant).argmax())
        told = f"each channel is off by a constant, channel {worst} the furthest: {constant.reshape(-1)[worst]:+.3g}"
        yield Suspect(Cause.BIAS, told, left)


def _one_channel(difference: Difference) -> Iterator[Suspect]:
    own, channels = difference.own, difference.reference.shape[1]
    if channels > 1 and own.channel_share >= 1 - EXPLAINED:
        told = f"{own.channel_share:.2%} of the squared error is in channel {own.channel} of {channels}"
        yield Suspect(Cause.ONE_CHANNEL, told, 1 - own.channel_share)


def _activation(difference: Difference) -> Iterator[Suspect]:
    """Positive values are right, and negative ones all times a factor: the slope of leaky ReLU is another."""
    reference, measured = difference.reference.astype(np.float64), difference.measured.astype(np.float64)
    negative = reference < 0
    energy = float((reference[negative] ** 2).sum())
    if not energy or negative.all():
        return
    factor = float((reference[negative] * measured[negative]).sum()) / energy
    left = unexplained(reference, measured, np.where(negative, reference * factor, reference))
    if left <= EXPLAINED:
        yield Suspect(Cause.ACTIVATION, f"its values below zero are {factor:.4g} times the reference's", left)


def _transposed(difference: Difference) -> Iterator[Suspect]:
    """Rows for columns, where all pixels are known."""
    side = difference.output.size
    if side is None or difference.reference.shape[2] != side**2:
        return
    square = difference.reference.reshape(*difference.reference.shape[:2], side, side)
    turned = square.swapaxes(2, 3).reshape(difference.reference.shape)
    left = unexplained(difference.reference, difference.measured, turned)
    if left <= EXPLAINED:
        yield Suspect(Cause.TRANSPOSED, "it is the reference's with rows for columns", left)


def _border(difference: Difference) -> Iterator[Suspect]:
    ratio = difference.own.border
    if ratio is not None and ratio >= ON_BORDER:
        squares = np.square(difference.measured - difference.reference, dtype=np.float64)
        inside = float(squares[..., ~difference.border].sum() / squares.sum())
        told = f"on the border the error is {ratio:.3g} times what it is inside, where {inside:.1%} of it are"
        yield Suspect(Cause.BORDER, told, inside)


def _tf32(difference: Difference) -> Iterator[Suspect]:
    """The error of ten bits, everywhere alike, from the very first products on."""
    own, (least, most) = difference.own, TF32_ERROR
    even = own.channel_share * difference.reference.shape[1] <= EVEN_CHANNELS
    even = even and (own.border is None or EVEN_BORDER[0] <= own.border <= EVEN_BORDER[1])
    begins = difference.position <= LATEST_FIRST
    if difference.precision == FP32 and begins and even and least <= own.rms <= most:
        told = f"an error of {own.rms:.1e}, in all channels and pixels alike, is what products of 10 bits make"
        yield Suspect(Cause.TF32, f"{told} ({least:.0e} to {most:.0e}); switch TF32 off", None)


TESTS: tuple[Test, ...] = (
    _float16_range, _opset, _batch_order, _channel_order, _transposed, _gain, _bias, _activation, _one_channel, _border,
    _tf32,
)  # fmt: skip
OF_ROWS: tuple[Test, ...] = (_rows,)
"""Of the rows of `ws`, which are no channels."""
