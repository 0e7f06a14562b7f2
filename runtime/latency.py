"""How long a call takes, of many alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

WARM_UP = 3
"""Calls that are not counted: the first prepares, the second records what later ones replay."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a call to its images in host memory: median, 95th percentile and worst of `runs` calls."""

    batch: int
    runs: int
    median: float
    p95: float
    worst: float


def measure_latency(call: Callable[[], object], batch: int, runs: int) -> Latency:
    """Time calls one after the other, after a few that warm up."""
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(runs):
        start = perf_counter()
        call()
        times.append(1e3 * (perf_counter() - start))
    return Latency(batch, runs, float(np.median(times)), float(np.percentile(times, 95)), max(times))
