"""Contestants that draw a bundle's images, side by side: parity first, then time, cores, memory, and the limit."""

from __future__ import annotations

from runtime.bench.contestants import Contestant, Entrant, Label, own_entrants
from runtime.bench.inputs import Inputs
from runtime.bench.race import BenchOptions, run_bench
from runtime.bench.results import Outcome, Standing

__all__ = [
    "BenchOptions",
    "Contestant",
    "Entrant",
    "Inputs",
    "Label",
    "Outcome",
    "Standing",
    "own_entrants",
    "run_bench",
]
