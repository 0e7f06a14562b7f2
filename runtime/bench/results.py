"""What a benchmark found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runtime.bench.limits import Limits
from runtime.bench.machine import Machine
from runtime.bench.memory import Memory
from runtime.bench.turns import Timing
from runtime.parity import Figures

FORMAT = 1
"""Of the document."""


class Standing(str, Enum):
    """How a contestant came out."""

    MEASURED = "measured"
    FAILED_PARITY = "failed parity"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Work:
    """What synthesis takes, counted from the specification: see `runtime.cost`.

    `gmac` is of one image; `weight_bytes` are moved once a batch and `image_bytes` for each image, float32.
    """

    gmac: float
    weight_bytes: int
    image_bytes: int


@dataclass(frozen=True)
class Load:
    """How hard a contestant worked the machine: what it did, what the machine can do, and the share of it.

    `attainable` is the roofline at this batch's multiply-accumulates a byte, `mac_per_byte`. All rates are 10^9
    multiply-accumulates a second. Shares above 1 say that the matrix product was not the machine's best.
    """

    gmac_per_s: float
    mac_per_byte: float
    attainable: float | None
    share_of_product: float | None
    share_of_attainable: float | None


@dataclass(frozen=True)
class Line:
    """A contestant at a batch; `batch` is None where it was left out before any. `reason` says why it has no figure."""

    contestant: str
    precision: str
    ours: bool
    device: str | None
    batch: int | None
    standing: Standing
    reason: str | None = None
    parity: Figures | None = None
    timing: Timing | None = None
    load: Load | None = None
    power_w: float | None = None

    @property
    def name(self) -> str:
        """Contestant and precision."""
        return f"{self.contestant}, {self.precision}"


@dataclass(frozen=True)
class Outcome:
    """Everything. `memory` is by contestant, as `name` of a line; `missing` says why a kind of figure is not there."""

    format: int
    date: str
    bundle: str
    checkpoint: str
    generation: str
    resolution: int
    machine: Machine
    threads: int
    baseline: str | None
    work: Work
    limits: Limits | None
    lines: tuple[Line, ...]
    memory: dict[str, Memory]
    missing: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether no contestant of ours failed parity."""
        return not any(line.ours and line.standing is Standing.FAILED_PARITY for line in self.lines)

    @property
    def measured(self) -> list[Line]:
        """The lines that have figures."""
        return [line for line in self.lines if line.timing is not None]
