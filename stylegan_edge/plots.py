"""What plots share: colours, axes, and SVG without text that needs a font."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Okabe and Ito's, that colour-blind readers tell apart."""
SIZE = (9.0, 4.6)
"""Inches."""
RATES = (1, 2, 5)
"""First digits of the ticks of a logarithmic axis."""


@dataclass(frozen=True)
class Ground:
    """What a plot stands on: the colours of its words and of its grid."""

    ink: str
    grid: str


LIGHT = Ground(ink="#1a1a1a", grid="#e0e0e0")
DARK = Ground(ink="#e8e8e8", grid="#3a4048")


def new_figure(size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    """A figure and its axes."""
    from matplotlib.figure import Figure  # no pyplot: no window system is looked for

    figure: Any = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def plain_ticks(axis: Any) -> None:
    """20, 50, 100 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=RATES))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def finish(figure: Any, axes: Any, title: str | None = None, ground: Ground = LIGHT, legend: str = "beside") -> bytes:
    """The SVG, its ground transparent; it says nothing of when it was made. `legend`: beside the data, or above it."""
    axes.grid(True, which="major", color=ground.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.tick_params(which="both", colors=ground.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side not in ("top", "right"))
        spine.set_color(ground.ink)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ground.ink)
    if axes.get_legend_handles_labels()[0]:
        _legend(axes, title, ground, legend)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()


def _legend(axes: Any, title: str | None, ground: Ground, place: str) -> None:
    where: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    if place == "above":
        where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4}
    legend = axes.legend(**where, frameon=False, fontsize=8.5, title=title, title_fontsize=8.5, labelcolor=ground.ink)
    legend.get_title().set_color(ground.ink)
    for text in legend.get_texts():
        text.set_parse_math(False)  # names are names, dollars and all
