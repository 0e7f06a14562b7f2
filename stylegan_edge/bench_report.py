"""A benchmark's outcome as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
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

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { border-bottom: 2px solid #888 }
img { max-width: 100%; height: auto; display: block } ul { padding-left: 1.2rem } .failed { color: #b00020 }
"""


def render(outcome: Outcome) -> str:
    """The page. Everything that comes from files is escaped."""
    title = escape(f"Benchmark of {outcome.bundle}")
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
        f"<h1>{title}</h1>",
        _list(facts(outcome)),
        "<h2>In turns: one run each a turn</h2>",
        _table(columns, [cells(outcome, line) for line in outcome.measured]),
        _without_figures(outcome),
        *plots,
    ]
    if outcome.memory:
        rows = [[name, *memory_cells(memory)] for name, memory in outcome.memory.items()]
        parts += [f"<h2>{escape(memory_title(outcome))}</h2>", _table(MEMORY_COLUMNS, rows)]
    parts += ["<h2>Parity</h2>", _parity(outcome), "<h2>Notes</h2>", _list([*notes(outcome), f"Made {outcome.date}."])]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n'


def _figure(title: str, svg: bytes, caption: str) -> str:
    data = base64.b64encode(svg).decode()
    return (
        f"<h2>{escape(title)}</h2><p>{escape(caption)}</p>"
        f'<img alt="{escape(title)}" src="data:image/svg+xml;base64,{data}">'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


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
    return _table(["contestant", "N", "levels", "values off", "max |d| of range", "PSNR dB", ""], rows)
