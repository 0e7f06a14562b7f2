"""Contestants take turns in one process, one run each, so that a machine that slows down slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time

import numpy as np

WARM_UP = 3
"""Turns that are not counted: allocation, code generation, recording, caches."""
LEAST_RUNS = 5
"""Runs of a contestant however slow it is."""
ENOUGH_FOR_P95 = 20
ENOUGH_FOR_P99 = 100
"""Runs from which on at least one lies beyond the percentile. With fewer there is no such figure."""


@dataclass
class Runs:
    """Seconds of each run, by the clock and by the processor (all threads of this process). `error` ended them."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    error: Exception | None = None


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a batch: median, quartiles, percentiles (None: too few runs) and the fastest of `runs`.

    `cores` is the processor time of the runs by their wall-clock time: the cores really obtained. On a GPU it is what
    the host takes to feed it. `times_baseline` is how many times as fast as the baseline: the median of the ratios
    within a turn.
    """

    runs: int
    warm_up: int
    median_ms: float
    quartiles_ms: tuple[float, float]
    p95_ms: float | None
    p99_ms: float | None
    fastest_ms: float
    images_per_s: float
    cores: float
    times_baseline: float | None


def take_turns(
    calls: Sequence[Callable[[], object]],
    turns: int,
    seconds: float = float("inf"),
    least: int = LEAST_RUNS,
) -> list[Runs]:
    """Run each once a turn, another one first in each; a slow one sits out once its `seconds` are used up."""
    taken = [Runs() for _ in calls]
    for turn in range(turns):
        for index in range(len(calls)):
            call, runs = calls[(index + turn) % len(calls)], taken[(index + turn) % len(calls)]
            if runs.error is not None or (turn >= least and sum(runs.wall) > seconds):
                continue
            wall, cpu = perf_counter(), process_time()
            try:
                call()
            except Exception as error:
                runs.error = error
                continue
            runs.wall.append(perf_counter() - wall)
            runs.cpu.append(process_time() - cpu)
    return taken


def sum_up(runs: Runs, batch: int, baseline: Runs | None = None) -> Timing:
    """The figures of at least one run."""
    wall = np.array(runs.wall)
    low, median, high = (float(item) for item in 1e3 * np.percentile(wall, [25, 50, 75]))
    return Timing(
        runs=len(wall),
        warm_up=WARM_UP,
        median_ms=median,
        quartiles_ms=(low, high),
        p95_ms=_percentile(wall, 95, ENOUGH_FOR_P95),
        p99_ms=_percentile(wall, 99, ENOUGH_FOR_P99),
        fastest_ms=1e3 * float(wall.min()),
        images_per_s=1e3 * batch / median,
        cores=sum(runs.cpu) / sum(runs.wall),
        times_baseline=None if baseline is None else _times_as_fast(baseline.wall, runs.wall),
    )


def _percentile(wall: np.ndarray, share: int, enough: int) -> float | None:
    return 1e3 * float(np.percentile(wall, share)) if len(wall) >= enough else None


def _times_as_fast(baseline: Sequence[float], wall: Sequence[float]) -> float | None:
    """Over the turns that both took part in; a contestant only ever leaves at the end."""
    ratios = [theirs / own for theirs, own in zip(baseline, wall)]
    return float(np.median(ratios)) if ratios else None
