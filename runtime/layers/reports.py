"""What an examination of a graph's layers found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runtime.layers.compare import LayerFigures

ONE_PASS, BISECTION = "one pass", "bisection"
"""How layers were read: all at once, or one after the other until the first that differs was found."""


class Cause(str, Enum):
    """Known reasons why a layer is not the reference's."""

    NOT_FINITE = "NaN or infinity"
    FLOAT16_RANGE = "float16 range"
    TF32 = "TF32"
    OPSET = "opset difference"
    FUSION = "what the runtime made of the graph"
    BORDER = "wrong FIR border"
    FILTER = "wrong FIR filter"
    NOISE_ORDER = "noise order"
    NOISE_LEFT_OUT = "noise left out"
    NOISE_STRENGTH = "noise strength"
    STYLE_ORDER = "style order"
    DEMODULATION = "demodulation left out"
    KERNEL = "kernel transposed or mirrored"
    CLAMP = "clamp left out"
    ACTIVATION = "slope of the activation"
    BATCH_ORDER = "images of a batch mixed up"
    TRANSFORM = "transform not applied"
    TRUNCATION = "truncation of other rows"
    ONE_CHANNEL = "weights of one channel"
    BIAS = "bias"
    GAIN = "gain"
    CHANNEL_ORDER = "order of channels"
    STYLE_BIAS = "bias of a style left out"
    SUMMAND = "a part of a sum left out"
    TRANSPOSED = "rows and columns exchanged"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Suspect:
    """A cause that the evidence speaks for.

    `left` is the part of the squared error that it does not explain, 0 to 1; None where that can't be said.
    """

    cause: Cause
    evidence: str
    left: float | None


@dataclass(frozen=True)
class LayerReport:
    """A graph's layers in synthesis order, compared.

    `against` says what with, `method` how the layers were read. `first` is the first layer out of tolerance (None: all
    are within), and `suspects` what may be its cause, the likeliest first. `unmarked` is how far the image of the graph
    as it is differs from that of the graph whose layers were read, relative to its range.
    """

    graph: str
    precision: str
    backend: str
    device: str
    against: str
    method: str
    layers: tuple[LayerFigures, ...]
    first: str | None
    suspects: tuple[Suspect, ...]
    unmarked: float

    @property
    def passed(self) -> bool:
        """Whether every layer is within its tolerance."""
        return self.first is None

    @property
    def failure(self) -> str | None:
        """Which layer is the first out of tolerance, and by how much; None where all are within."""
        if self.first is None:
            return None
        own = next(item for item in self.layers if item.layer == self.first)
        return f"the first layer out of tolerance is {self.first}: {own.failures()[0]}"

    @property
    def growth(self) -> tuple[float | None, ...]:
        """By how much each layer multiplied the error of the one before it (None: nothing to multiply)."""
        errors = [item.rms for item in self.layers]
        return tuple(now / before if before > 0 else None for before, now in zip([0.0, *errors], errors))
