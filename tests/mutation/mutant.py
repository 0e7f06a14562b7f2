"""What a mutant is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.layers.reports import Cause
from tests.mutation.graph import Patient

Change = Callable[[Patient], None]


@dataclass(frozen=True)
class Mutant:
    """A graph of a network's bundle that is wrong on purpose.

    `layer` is what comparing layers must name. `cause` is what must be suspected first (None: no known cause fits).
    `precision` is the graph's. `equivalent` says why the change can't be seen in any image, where it can't.
    """

    name: str
    network: str
    graph: str
    layer: str
    change: Change
    cause: Cause | None = None
    precision: str = "fp32"
    equivalent: str = ""
