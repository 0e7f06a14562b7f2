"""A benchmark's plots, as SVG."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.bench.limits import Limits
from runtime.bench.results import Line, Outcome
from stylegan_edge.plots import COLOURS, finish, new_figure, plain_ticks

MARKERS = "osD^vPX*"
SMALLEST, LARGEST = 5.0, 11.0
"""Marker sizes of the roofline, in points, of the smallest batch and the largest."""


def latency_plot(outcome: Outcome) -> bytes:
    """Milliseconds of a batch against its size."""
    figure, axes = new_figure()
    for index, (name, lines) in enumerate(_by_name(outcome).items()):
        timings = [line.timing for line in lines if line.timing is not None]
        medians = np.array([timing.median_ms for timing in timings])
        quartiles = np.array([timing.quartiles_ms for timing in timings]).T
        axes.errorbar(
            [line.batch for line in lines],
            medians,
            yerr=np.abs(quartiles - medians),
            label=name,
            capsize=3,
            linewidth=1.6,
            **_look(index),
        )
    batches = sorted({line.batch for line in outcome.measured if line.batch is not None})
    axes.set(xscale="log", yscale="log", xlabel="batch (images)", ylabel="median time of a batch (ms)")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.set_xticks([], minor=True)
    if batches:
        axes.set_xlim(batches[0] / 1.3, batches[-1] * 1.3)
    plain_ticks(axes.yaxis)
    return finish(figure, axes)


def roofline_plot(outcome: Outcome) -> bytes | None:
    """GMAC a second against multiply-accumulates a byte; None where no contestant ran on the cores."""
    limits = outcome.limits
    groups = {
        name: [line for line in lines if line.load is not None and line.load.attainable is not None]
        for name, lines in _by_name(outcome).items()
    }
    loads = [line.load for lines in groups.values() for line in lines if line.load is not None]
    if limits is None or not loads:
        return None
    figure, axes = new_figure()
    ridge = limits.gmac_per_s / limits.gbyte_per_s
    spread = [load.mac_per_byte for load in loads]
    left, right = min(ridge, *spread) / 3, max(ridge, *spread) * 3
    _draw_roof(axes, limits, (left, right))
    batches = sorted({line.batch or 0 for lines in groups.values() for line in lines})
    for index, (name, lines) in enumerate(groups.items()):
        for line in lines:
            assert line.load is not None
            rank = batches.index(line.batch or 0) / max(1, len(batches) - 1)
            size = SMALLEST + (LARGEST - SMALLEST) * rank  # the points lie too close together for words
            axes.plot(line.load.mac_per_byte, line.load.gmac_per_s, **{**_look(index), "markersize": size}, alpha=0.8)
        axes.plot([], [], linestyle="none", label=name, **_look(index))
    axes.set(xscale="log", yscale="log", xlim=(left, right), xlabel="multiply-accumulates a byte moved")
    axes.set_ylabel("GMAC a second")
    lowest = min(*(load.gmac_per_s for load in loads), limits.gbyte_per_s * left)
    axes.set_ylim(lowest / 1.6, limits.gmac_per_s * 1.8)
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis)
    sizes = ", ".join(str(batch) for batch in batches)
    return finish(figure, axes, f"batch, small to large: {sizes}" if len(batches) > 1 else f"batch {sizes}")


def _draw_roof(axes: Any, limits: Limits, bounds: tuple[float, float]) -> None:
    x = np.geomspace(*bounds, 200)
    axes.plot(x, [limits.attainable(item) for item in x], color="#444444", linewidth=1.4)
    axes.text(bounds[1] / 1.1, limits.gmac_per_s * 1.12, f"matrix product {limits.gmac_per_s:.4g} GMAC/s",
              ha="right", fontsize=8, color="#444444")  # fmt: skip
    middle = (bounds[0] * limits.gmac_per_s / limits.gbyte_per_s) ** 0.5
    axes.text(middle * 1.15, limits.attainable(middle), f"copy {limits.gbyte_per_s:.3g} GB/s", va="top", fontsize=8,
              color="#444444")  # fmt: skip


def _by_name(outcome: Outcome) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in sorted(outcome.measured, key=lambda line: line.batch or 0):
        found.setdefault(line.name, []).append(line)
    return found


def _look(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)], "markersize": 6}
