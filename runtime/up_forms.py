"""Up-convolutions in interchangeable forms: a transposed convolution of stride 2 and the FIR filter after it.

StyleGAN2's layer that raises the resolution (arXiv 1912.04958, appendix B) is y = F(T(x, W)): T puts a copy of the
kernel W, x[n] times as large, at 2n, and F correlates with the filter's taps f. Along one axis, H values in, 2H out:

    z[j] = sum_n x[n] w[j - 2n],    y[i] = sum_t f[t] z[i + t - before],    z is zero outside [0, 2H]

Every form is a list of plain operators with constants computed here, in float64, once, for whoever writes them down:
the traced network and the rewriting of finished graphs. All are the same sum in another order:

- TRANSPOSED: as it is defined, a transposed convolution and a depthwise one.
- PHASES: the transposed convolution taken apart into its four phases, each a plain convolution of 2 or 1 taps an axis.
- FUSED: both in one transposed convolution, with W * f for its kernel.
- POLYPHASE: the four phases of that, in one plain convolution to four times the channels.
- FACTORED: f = [1, 1] * h. W * [1, 1] has 4 taps, whose phases are one plain convolution of 2 x 2 taps to four times
  the channels; h, one tap shorter than f, follows depthwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Union

import numpy as np

UP = 2
"""Up-sampling factor of every up-convolution."""
NO_REMAINDER = 1e-6
"""Largest remainder of a filter's division by [1, 1], relative to its taps: float32's rounding of the taps."""


class UpForm(str, Enum):
    """How an up-convolution is written down."""

    TRANSPOSED = "transposed"
    PHASES = "phases"
    FUSED = "fused"
    POLYPHASE = "polyphase"
    FACTORED = "factored"


@dataclass(frozen=True)
class TransposedConvolution:
    """Stride 2, `weight` [in, out, k, k], `padding` cut off every side."""

    weight: np.ndarray
    padding: int


@dataclass(frozen=True)
class Correlation:
    """Plain convolution, `weight` [out, in / groups, k, k], zeros on both sides of both axes."""

    weight: np.ndarray
    padding: tuple[int, int]
    groups: int = 1


@dataclass(frozen=True)
class Crop:
    """Rows and columns, each from `begin` (row, column) on, [2H or H + 1]: `size` = factor * H + offset of them."""

    begin: tuple[int, int]
    factor: int
    offset: int


@dataclass(frozen=True)
class Interleave:
    """[N, 4 C, H, W] -> [N, C, 2H, 2W]: channel 4 c + 2 row + column holds every second row and column of c."""


@dataclass(frozen=True)
class Branches:
    """Several results of one input, side by side in their channels."""

    parts: tuple[tuple[Step, ...], ...]


Step = Union[TransposedConvolution, Correlation, Crop, Interleave, Branches]  # noqa: UP007 (a name that is read at run time)


def available_forms(taps: np.ndarray) -> list[UpForm]:
    """The forms that a filter allows: FACTORED needs one that [1, 1] divides."""
    return [form for form in UpForm if form is not UpForm.FACTORED or _divided(taps) is not None]


def up_steps(form: UpForm, weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    """The operators of a form.

    `weight` [out, in, k, k] is the transposed convolution's, k = 3; `taps` [T] the filter along an axis, as a true
    convolution, its gain included.
    """
    return _STEPS[form](weight, taps)


def repeat_steps(weight: np.ndarray) -> tuple[Step, ...]:
    """StyleGAN's up-convolution without its blur in plain operators: a transposed one of 4 taps that loses 1 a side.

    `weight` [out, in, 4, 4] is the transposed convolution's. Each phase of the result has 2 taps of its own.
    """
    index, low = _phase_spans(weight.shape[-1], crop=1)
    pad = max(-low.min(), (low + index.shape[1] - 1).max())
    parts = []
    for row, column in product(range(UP), range(UP)):
        kernel = weight[:, :, index[row]][:, :, :, index[column]]
        begin = (int(pad + low[row]), int(pad + low[column]))
        parts.append((Correlation(kernel, (int(pad), int(pad))), Crop(begin, 1, 0)))
    return (Branches(tuple(parts)), Interleave())


def _phase_spans(count: int, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """An even number of taps, by phase: which each correlation has [2, count / 2], and the place of the first."""
    low = np.array([-((count - 1 - phase - crop) // UP) for phase in range(UP)])
    steps = low[:, None] + np.arange(count // UP)
    return np.arange(UP)[:, None] + crop - UP * steps, low


def _transposed(weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    return (TransposedConvolution(weight.swapaxes(0, 1), 0), *_filter(weight, taps[::-1], surplus=0))


def _phases(weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    count = -(-(weight.shape[-1] + 1) // UP)  # taps of an even phase; an odd one has a tap less where k is odd
    parts = []
    for row, column in product(range(UP), range(UP)):
        kernel = weight[:, :, row::UP, column::UP][:, :, ::-1, ::-1]
        spare = (count - kernel.shape[2], count - kernel.shape[3])  # values before the image that only zeros make
        conv = Correlation(kernel, (count - 1, count - 1))
        parts.append((conv, Crop(spare, 1, count - 1)) if any(spare) else (conv,))
    surplus = UP * (count - 1) - (weight.shape[-1] - UP)
    return (Branches(tuple(parts)), Interleave(), *_filter(weight, taps[::-1], surplus))


def _fused(weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    kernel, crop, end = _combined(weight, taps)
    spare = abs(crop - end)
    before, after = (spare, 0) if crop < end else (0, spare)
    kernel = np.pad(kernel, [(0, 0), (0, 0), (before, after), (before, after)])
    return (TransposedConvolution(kernel.swapaxes(0, 1), max(crop, end)),)


def _polyphase(weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    kernel, crop, _ = _combined(weight, taps)
    index, pad = _phase_taps(kernel.shape[-1], crop)
    return (_side_by_side(kernel, index, (pad, pad)), Interleave())


def _factored(weight: np.ndarray, taps: np.ndarray) -> tuple[Step, ...]:
    rest = _divided(taps)
    if rest is None:
        raise ValueError("the filter can't be divided by [1, 1]")
    kernel = _convolved(weight, np.ones(2))
    pad = kernel.shape[-1] // UP - 1
    index = np.array([[phase + UP * tap for tap in range(pad, -1, -1)] for phase in range(UP)])
    conv = _side_by_side(kernel, index, (pad, pad))
    # What is left of the filter begins where the whole one does.
    before, _ = filter_padding(len(taps))
    return (conv, Interleave(), *_correlate_and_crop(weight, rest[::-1], before - 1, kernel.shape[-1] - UP))


def _filter(weight: np.ndarray, correlation: np.ndarray, surplus: int) -> tuple[Step, ...]:
    """The filter by itself, over an image that has `surplus` zeros after its end."""
    before, _ = filter_padding(len(correlation))
    return _correlate_and_crop(weight, correlation, before, weight.shape[-1] - UP + surplus)


def _correlate_and_crop(weight: np.ndarray, line: np.ndarray, before: int, offset: int) -> tuple[Step, ...]:
    """A depthwise correlation of 2H + `offset` values an axis, beginning `before` values before them; 2H remain."""
    after = len(line) - 1 - offset - before
    pad = max(before, after, 0)
    kernel = np.broadcast_to(np.outer(line, line), (len(weight), 1, len(line), len(line)))
    conv = Correlation(kernel, (pad, pad), groups=len(weight))
    begin = pad - before
    return (conv,) if begin == 0 and after == pad else (conv, Crop((begin, begin), UP, 0))


def filter_padding(taps: int) -> tuple[int, int]:
    """Values before and after an up-convolution's image, 2H + 1 a side, that its filter takes: 2H remain."""
    return (taps - 1) // 2, taps // 2 - 1


def _combined(weight: np.ndarray, taps: np.ndarray) -> tuple[np.ndarray, int, int]:
    """W * f, and what its transposed convolution must lose at the beginning and at the end of an axis."""
    before, _ = filter_padding(len(taps))
    kernel = _convolved(weight, taps)
    crop = len(taps) - 1 - before
    return kernel, crop, kernel.shape[-1] - UP - crop


def _convolved(weight: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Every kernel [k, k] convolved with taps [T] along both axes: [out, in, k + T - 1, k + T - 1]."""
    size, count = weight.shape[-1], len(taps)
    band = np.zeros((size + count - 1, size))
    for index in range(size):
        band[index : index + count, index] = taps
    combined: np.ndarray = band @ weight @ band.T
    return combined


def _phase_taps(count: int, crop: int) -> tuple[np.ndarray, int]:
    """Which tap of a transposed convolution each phase's correlation has in each place; `count` stands for none.

    y[2q + p] = sum_r x[q + r] g[p + crop - 2r]: [2, 2 pad + 1], and the zeros on both sides of the input.
    """
    spans = [(-((count - 1 - phase - crop) // UP), (phase + crop) // UP) for phase in range(UP)]
    pad = max(max(-low, high) for low, high in spans)
    index = np.array([[phase + crop - UP * step for step in range(-pad, pad + 1)] for phase in range(UP)])
    return np.where((index >= 0) & (index < count), index, count), pad


def _side_by_side(kernel: np.ndarray, index: np.ndarray, padding: tuple[int, int]) -> Correlation:
    """All four phases of a transposed convolution's kernel [out, in, K, K] in one plain convolution."""
    spread = np.pad(kernel, [(0, 0), (0, 0), (0, 1), (0, 1)])  # the place of no tap
    phases = [spread[:, :, row][:, :, :, column] for row, column in product(index, index)]
    stacked = np.stack(phases, axis=1)  # [out, 4, in, k, k]
    return Correlation(stacked.reshape(-1, *stacked.shape[2:]), padding)


def _divided(taps: np.ndarray) -> np.ndarray | None:
    """`taps` without the factor [1, 1]; None where it is not one."""
    line = np.asarray(taps, np.float64)
    if len(line) < 2:
        return None
    rest, remainder = np.polydiv(line, np.ones(2))
    return rest if np.abs(remainder).max() <= NO_REMAINDER * np.abs(line).max() else None


_STEPS = {
    UpForm.TRANSPOSED: _transposed,
    UpForm.PHASES: _phases,
    UpForm.FUSED: _fused,
    UpForm.POLYPHASE: _polyphase,
    UpForm.FACTORED: _factored,
}
