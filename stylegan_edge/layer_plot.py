"""Error by layer, as SVG."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.layers.reports import ONE_PASS, LayerReport
from stylegan_edge.plots import COLOURS, LIGHT, Ground, finish, new_figure

WIDTH, HEIGHT = 9.0, 4.8
"""Inches."""
LAYER_WIDTH = 0.3
"""Inches that a layer takes at least: the name stands upright below it."""
LOWEST, HIGHEST = 1e-9, 1e2
"""Errors that are drawn: nothing is below float32's rounding, and NaN or worse stands at the top."""
OK, CHANNEL, LIMIT, FAILED = COLOURS[0], COLOURS[5], COLOURS[2], COLOURS[1]


def layer_plot(report: LayerReport, ground: Ground = LIGHT) -> bytes:
    """Root mean square errors of a graph's layers in order, logarithmic, with what is allowed of each.

    The first layer out of tolerance is marked. Layers that were read one by one are not joined.
    """
    layers = report.layers
    figure, axes = new_figure((max(WIDTH, LAYER_WIDTH * len(layers)), HEIGHT))
    places = np.arange(len(layers))
    joined = "-" if report.method == ONE_PASS else "none"
    for label, values, look in (
        ("worst channel", [item.channel_rms for item in layers], {"color": CHANNEL, "marker": "_", "linewidth": 0.8}),
        ("whole layer", [item.rms for item in layers], {"color": OK, "marker": "o", "linewidth": 1.8}),
    ):
        axes.plot(places, _drawn(values), label=label, linestyle=joined, markersize=5, **look)
    allowed = _drawn([item.allowed.rms for item in layers])
    axes.step(
        places, allowed, where="mid", color=LIMIT, linestyle="--", linewidth=1.6, label="allowed of a whole layer"
    )
    _mark_failed(axes, report, ground)
    axes.set(yscale="log", ylabel="error / root mean square of the layer", xlim=(-0.6, len(layers) - 0.4))
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom / 2, top * 3)
    axes.set_xticks(places, [item.layer for item in layers], rotation=90, fontsize=8)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    return finish(figure, axes, ground=ground, legend="above")


def alt_text(report: LayerReport) -> str:
    """The plot in words."""
    errors = [item.rms for item in report.layers]
    told = f"Error by layer of {report.graph} {report.precision}: {len(errors)} layers, from {min(errors):.1e} to "
    told += f"{max(errors):.1e} of their root mean square"
    return f"{told}; {'all within tolerance' if report.first is None else f'{report.first} is the first beyond it'}"


def _mark_failed(axes: Any, report: LayerReport, ground: Ground) -> None:
    failed = [index for index, item in enumerate(report.layers) if not item.passed]
    if not failed:
        return
    values = _drawn([report.layers[index].rms for index in failed])
    axes.plot(failed, values, label="out of tolerance", linestyle="none", color=FAILED, marker="X", markersize=9)
    first = failed[0]
    axes.axvline(first, color=FAILED, linewidth=1, linestyle=":")
    right = first > len(report.layers) / 2
    note = axes.annotate(
        f"first out of tolerance: {report.first}",
        (first, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if right else 6, -4),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        fontsize=9,
        color=ground.ink,
    )
    note.set_parse_math(False)


def _drawn(values: list[float]) -> np.ndarray:
    return np.clip(values, LOWEST, HIGHEST)
