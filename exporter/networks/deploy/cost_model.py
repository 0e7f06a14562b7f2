"""Which form of an up-convolution takes the least time where it will run: a model, fitted to measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from runtime.up_forms import (
    UP,
    Branches,
    Correlation,
    Interleave,
    Step,
    TransposedConvolution,
    UpForm,
    available_forms,
    up_steps,
)


class Target(str, Enum):
    """Where a graph is meant to run."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Machine:
    """What a target's operators take, relative to each other.

    `plain`, `transposed` and `depthwise` are seconds of 10^9 multiply-adds of a convolution of that kind, `gigabyte` of
    10^9 bytes written or read by a pass over memory of its own, `step` of starting an operator.
    """

    plain: float
    transposed: float
    depthwise: float
    gigabyte: float
    step: float


MACHINES = {
    # ONNX Runtime 1.31.1 on two AVX2 cores: a least-squares fit of relative errors to 35 medians of
    # `python -m benchmarks.up_forms`, which it meets within 0.6 to 1.3.
    Target.CPU: Machine(plain=0.0158, transposed=0.0186, depthwise=0.0151, gigabyte=0.125, step=1.3e-4),
    # Never measured: an H200's data sheet, float16 on tensor cores at a third of their peak, depthwise filters on the
    # others. Arithmetic is next to free there, and what remains is memory.
    Target.GPU: Machine(plain=6e-6, transposed=6e-6, depthwise=6e-5, gigabyte=2.5e-4, step=3e-6),
}
"""By target."""
VALUE_BYTES = 4
HELD_PRODUCTS = 1
"""Passes over a transposed convolution's products. Written and read would be 2, which fits worse: caches hold some."""
PLAIN_FORMS = frozenset({UpForm.PHASES, UpForm.POLYPHASE, UpForm.FACTORED})
"""The forms without a transposed convolution."""


def choose_form(target: Target, weight: np.ndarray, taps: np.ndarray, side: int, plain: bool = False) -> UpForm:
    """The form that should take the least time for an input of `side` x `side`; the first of equals.

    `plain` leaves out the forms with a transposed convolution.
    """
    forms = [form for form in available_forms(taps) if form in PLAIN_FORMS or not plain]
    return min(forms, key=lambda form: estimate(MACHINES[target], up_steps(form, weight, taps), side))


def estimate(machine: Machine, steps: Sequence[Step], side: int) -> float:
    """Seconds of one image's operators."""
    image = Shape(0, side)
    return _walk(machine, steps, image, side)[0]


@dataclass(frozen=True)
class Shape:
    """Of an image: its channels (0 where the step after it tells), its height and width."""

    channels: int
    side: int

    @property
    def values(self) -> int:
        """How many it holds."""
        return self.channels * self.side**2


def _walk(machine: Machine, steps: Sequence[Step], image: Shape, entry: int) -> tuple[float, Shape]:
    """Seconds, and what comes out; `entry` is the side of the layer's own input."""
    total = 0.0
    for step in steps:
        seconds, image = _walk_step(machine, step, image, entry)
        total += seconds + machine.step
    return total, image


def _walk_step(machine: Machine, step: Step, image: Shape, entry: int) -> tuple[float, Shape]:
    if isinstance(step, TransposedConvolution):
        inputs, outputs, size, _ = step.weight.shape
        image, result = Shape(inputs, image.side), Shape(outputs, (image.side - 1) * UP + size - 2 * step.padding)
        products = outputs * size**2 * image.side**2
        moved = image.values + result.values + HELD_PRODUCTS * products
        return _seconds(machine, machine.transposed * inputs * products, moved), result
    if isinstance(step, Correlation):
        outputs, inputs, size, width = step.weight.shape
        image, result = (
            Shape(inputs * step.groups, image.side),
            Shape(outputs, image.side + 2 * step.padding[0] - size + 1),
        )
        rate = machine.plain if step.groups == 1 else machine.depthwise
        return _seconds(machine, rate * inputs * size * width * result.values, image.values + result.values), result
    if isinstance(step, Branches):
        found = [_walk(machine, part, image, entry) for part in step.parts]
        result = Shape(sum(shape.channels for _, shape in found), found[0][1].side)
        return sum(seconds for seconds, _ in found) + _seconds(machine, 0, 2 * result.values), result
    if isinstance(step, Interleave):
        return _seconds(machine, 0, 2 * image.values), Shape(image.channels // UP**2, image.side * UP)
    result = Shape(image.channels, step.factor * entry + step.offset)
    return _seconds(machine, 0, 2 * result.values), result


def _seconds(machine: Machine, scaled_products: float, values: float) -> float:
    return 1e-9 * (scaled_products + machine.gigabyte * VALUE_BYTES * values)
