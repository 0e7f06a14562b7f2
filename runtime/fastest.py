"""`precision="auto"`: the fastest of a bundle's precisions that are near enough to float32, timed where they run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from runtime.backends import BackendName, RunOptions
from runtime.backends.choice import PASSED_OVER
from runtime.bundle import Bundle
from runtime.errors import InputError, StyleganEdgeError, quoted
from runtime.graphs import OpenGraphs
from runtime.manifest import Manifest
from runtime.parity import FLOAT16, FP32

AUTO = "auto"
"""The precision that stands for the fastest."""
MIN_PSNR = FLOAT16.psnr_min
"""Decibels from float32 unless told otherwise: what float16 promises."""
TURNS = 5
"""Turns at most, after one that is not counted. Their median stands two disturbed ones, and five are over soon."""
SECONDS = 2.0
"""No turn begins after it, so that opening a slow network is not held up; the first always runs, to have a time."""
NOISE = 1.1
"""Times nearer than this are not told apart by so few turns on a machine that others use, and exactness decides.
Between two starts, the ratio of the same two graphs was seen to go from 0.94 to 1.13."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """What is timed: a call that draws, and how many images it draws."""

    draw: Callable[[], object]
    images: int


def check_min_psnr(value: Any) -> float:
    """A least PSNR in dB. Raises InputError unless it is a finite number, 0 or more."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"min_psnr is {quoted(value)}, expected a finite number of decibels, 0 or more")
    return number


def qualified(bundle: Bundle, min_psnr: float) -> list[str]:
    """The precisions that a bundle holds whose synthesis export measured at `min_psnr` dB or more; float32 always."""
    return [name for name in bundle.precisions if name == FP32 or _near_enough(bundle.manifest, name, min_psnr)]


def _near_enough(manifest: Manifest, precision: str, min_psnr: float) -> bool:
    """Whether every comparison of a precision is; one that nobody compared is not."""
    found = [item for item in manifest.parity if (item.graph, item.precision) == ("synthesis", precision)]
    # No PSNR at all says that nothing differs, or that nothing could be measured.
    near = (item.finite and (item.max_abs == 0 if item.psnr is None else item.psnr >= min_psnr) for item in found)
    return bool(found) and all(near)


def open_candidates(
    bundle: Bundle, precisions: Sequence[str], backend: BackendName, options: RunOptions, stack: ExitStack
) -> dict[str, OpenGraphs]:
    """Open the precisions that load; `stack` closes them. Raises the first one's error where none does."""
    opened: dict[str, OpenGraphs] = {}
    first: StyleganEdgeError | None = None
    for precision in precisions:
        try:
            graphs = OpenGraphs.open(bundle, backend, options, precision, pipeline=False, split=False)
        except PASSED_OVER as error:
            _log.info("precision %s: passed over: %s", precision, error)
            first = first or error
            continue
        stack.callback(graphs.close)
        opened[precision] = graphs
    if first is not None and not opened:
        raise first
    return opened


def race(samples: Mapping[str, Sample], clock: Callable[[], float] = perf_counter) -> dict[str, float]:
    """Median seconds an image of each, drawn in turns, another one first in each turn.

    One that can't draw, as where memory runs out, has none. Raises its error where none can.
    """
    ready = _warmed_up(samples)
    taken: dict[str, list[float]] = {name: [] for name in ready}
    begin = clock()
    for turn in range(TURNS):
        first = turn % len(ready)
        for name in ready[first:] + ready[:first]:
            start = clock()
            samples[name].draw()
            taken[name].append((clock() - start) / samples[name].images)
        if clock() - begin >= SECONDS:
            break
    return {name: float(np.median(times)) for name, times in taken.items()}


def _warmed_up(samples: Mapping[str, Sample]) -> list[str]:
    """Draw each once, uncounted, since the first call prepares what later ones use; returns those that could."""
    ready: list[str] = []
    failed: StyleganEdgeError | None = None
    for name, sample in samples.items():
        try:
            sample.draw()
        except PASSED_OVER as error:
            _log.info("precision %s: passed over: %s", name, error)
            failed = error
        else:
            ready.append(name)
    if failed is not None and not ready:
        raise failed
    return ready


def choose(times: Mapping[str, float]) -> str:
    """The fastest; of those that can't be told from it, the first, since the more exact come first."""
    fastest = min(times.values())
    return next(name for name, seconds in times.items() if seconds <= NOISE * fastest)


def fastest(samples: Mapping[str, Sample]) -> str:
    """Which of the samples, the more exact first, is drawn the fastest here. One alone is not timed."""
    if len(samples) == 1:
        name = next(iter(samples))
        _log.info("precision %s: taken, alone near enough and loaded", name)
        return name
    times = race(samples)
    name = choose(times)
    told = ", ".join(f"{item} {1e3 * seconds:.3g}" for item, seconds in times.items())
    _log.info("precision %s: taken; median milliseconds an image: %s", name, told)
    return name
