"""A benchmark's outcome as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape

from runtime.bench.results import Outcome, Standing
from stylegan_edge.bench_plots import latency_plot, roofline_plot
from stylegan_edge.bench_table import (
    COLUMNS,
    MEMORY_COLUMNS,
    cells,
    facts,
    has_power,
    memory_cells,
    memory_title,
    no_figures,
    notes,
)
from stylegan_edge.page import bullets, heading, page, paragraph, plot, table


def render(outcome: Outcome) -> str:
    """The page. Everything that comes from files is escaped."""
    title = f"Benchmark of {outcome.bundle}"
    plots = [
        _figure("Latency by batch", latency_plot(outcome), "Median time of a batch by its size; bars are quartiles.")
    ]
    roofline = roofline_plot(outcome)
    if roofline is not None:
        plots.append(
            _figure(
                "Roofline", roofline, "What each contestant reached, under what this machine's cores can do at most."
            )
        )
    columns = [*COLUMNS, "watts"] if has_power(outcome) else COLUMNS
    parts = [
        heading(title, 1),
        bullets(facts(outcome)),
        heading("In turns: one run each a turn"),
        table(columns, [cells(outcome, line) for line in outcome.measured]),
        _without_figures(outcome),
        *plots,
    ]
    if outcome.memory:
        rows = [[name, *memory_cells(memory)] for name, memory in outcome.memory.items()]
        parts += [heading(memory_title(outcome)), table(MEMORY_COLUMNS, rows)]
    parts += [heading("Parity"), _parity(outcome), heading("Notes")]
    parts.append(bullets([*notes(outcome), f"Made {outcome.date}."]))
    return page(title, parts)


def _figure(title: str, svg: bytes, caption: str) -> str:
    return heading(title) + paragraph(caption) + plot(title, svg)


def _without_figures(outcome: Outcome) -> str:
    items = [
        f'<li class="{"failed" if line.standing is Standing.FAILED_PARITY else "out"}">{escape(no_figures(line))}</li>'
        for line in outcome.lines
        if line.standing is not Standing.MEASURED
    ]
    return "<h2>Without figures</h2><ul>" + "".join(items) + "</ul>" if items else ""


def _parity(outcome: Outcome) -> str:
    rows = []
    for line in outcome.lines:
        if line.parity is not None:
            item = line.parity
            psnr = "same" if item.psnr is None else f"{item.psnr:.1f}"
            levels, share = f"{item.levels_max} / {item.allowed_levels}", f"{item.level_fraction:.1e}"
            relative = f"{item.max_relative:.1e} / {item.allowed_relative:.0e}"
            verdict = "ok" if item.passed else "FAILED"
            rows.append(
                [line.name, str(line.batch), levels, f"{share} / {item.allowed_fraction:.1e}", relative, psnr, verdict]
            )
    return table(["contestant", "N", "levels", "values off", "max |d| of range", "PSNR dB", ""], rows)
