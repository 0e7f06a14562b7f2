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
THIN_OUTPUTS = 2
"""Output channels of the kernel that stands for a layer's: of one, a depthwise filter would look like a plain one."""


def choose_form(target: Target, weight: np.ndarray, taps: np.ndarray, side: int, plain: bool = False) -> UpForm:
    """The form that should take the least time for an input of `side` x `side`; the first of equals.

    Only the shape of `weight` [out, in, k, k] counts. `plain` leaves out the forms with a transposed convolution.
    """
    forms = [form for form in available_forms(taps) if form in PLAIN_FORMS or not plain]
    outputs, inputs, *size = weight.shape
    thin = np.zeros((min(outputs, THIN_OUTPUTS), 1, *size))  # the whole weight's constants would take long to make
    machine, wider = MACHINES[target], outputs / len(thin)
    return min(forms, key=lambda form: estimate(machine, up_steps(form, thin, taps), side, wider, inputs))


def estimate(machine: Machine, steps: Sequence[Step], side: int, outputs: float = 1, inputs: float = 1) -> float:
    """Seconds of one image's operators, for a layer of `outputs` and `inputs` times as many channels as the steps'."""
    return _Layer(machine, side, outputs, inputs).walk(steps, Shape(0, side))[0]


@dataclass(frozen=True)
class Shape:
    """Of an image: its channels (0 where the step after it tells), its height and width."""

    channels: float
    side: int

    @property
    def values(self) -> float:
        """How many it holds."""
        return self.channels * self.side**2


@dataclass(frozen=True)
class _Layer:
    """A layer whose own input has `side` rows, of `outputs` and `inputs` times as many channels as its steps."""

    machine: Machine
    side: int
    outputs: float
    inputs: float

    def walk(self, steps: Sequence[Step], image: Shape) -> tuple[float, Shape]:
        """Seconds, and what comes out."""
        total = 0.0
        for step in steps:
            seconds, image = self._walk_step(step, image)
            total += seconds + self.machine.step
        return total, image

    def _walk_step(self, step: Step, image: Shape) -> tuple[float, Shape]:
        if isinstance(step, TransposedConvolution):
            return self._walk_transposed(step, image)
        if isinstance(step, Correlation):
            return self._walk_correlation(step, image)
        if isinstance(step, Branches):
            found = [self.walk(part, image) for part in step.parts]
            result = Shape(sum(shape.channels for _, shape in found), found[0][1].side)
            return sum(seconds for seconds, _ in found) + self._seconds(0, 2 * result.values), result
        if isinstance(step, Interleave):
            return self._seconds(0, 2 * image.values), Shape(image.channels / UP**2, image.side * UP)
        result = Shape(image.channels, step.factor * self.side + step.offset)
        return self._seconds(0, 2 * result.values), result

    def _walk_transposed(self, step: TransposedConvolution, image: Shape) -> tuple[float, Shape]:
        inputs, outputs = self.inputs * step.weight.shape[0], self.outputs * step.weight.shape[1]
        size = step.weight.shape[2]
        image, result = Shape(inputs, image.side), Shape(outputs, (image.side - 1) * UP + size - 2 * step.padding)
        products = outputs * size**2 * image.side**2
        moved = image.values + result.values + HELD_PRODUCTS * products
        return self._seconds(self.machine.transposed * inputs * products, moved), result

    def _walk_correlation(self, step: Correlation, image: Shape) -> tuple[float, Shape]:
        """A depthwise one takes as many channels as it gives."""
        outputs, inputs, size, width = step.weight.shape
        plain, result = step.groups == 1, Shape(self.outputs * outputs, image.side + 2 * step.padding[0] - size + 1)
        taken = self.inputs * inputs if plain else inputs
        image = Shape(taken if plain else result.channels, image.side)
        rate = self.machine.plain if plain else self.machine.depthwise
        return self._seconds(rate * taken * size * width * result.values, image.values + result.values), result

    def _seconds(self, scaled_products: float, values: float) -> float:
        return 1e-9 * (scaled_products + self.machine.gigabyte * VALUE_BYTES * values)
