"""Tables, progress and JSON on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from runtime.parity import Figures
from runtime.records import to_plain

WIDTH_IN_A_PIPE = 140
"""Columns of a table that nobody's terminal bounds."""


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=1))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False, left: int = 1
) -> None:
    """A table on standard output; the first columns to the left, as many as `left`, figures to the right.

    With `words`, all columns are to the left and stand as they are: brackets in them are no markup.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if words or index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) if words else cell for cell in row))
    _console().print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else escape(str(value)))
    _console().print(table)


FIGURE_COLUMNS = (
    "graph", "against", "batch", "images", "levels", "their mean", "values off", "PSNR", "max |d|", "of range",
    "cosine",
)  # fmt: skip
"""Of the parity table, whose cells are `figure_cells`; the verdict stands behind them."""


def figure_cells(item: Figures) -> list[str]:
    """What was measured against what is allowed."""
    return [
        f"{item.graph} {item.precision}",
        item.against,
        str(item.batch),
        str(item.samples),
        "-" if item.levels_max is None else f"{item.levels_max} / {item.allowed_levels}",
        "-" if item.levels_mean is None else f"{item.levels_mean:.0e}",
        "-" if item.level_fraction is None else f"{item.level_fraction:.0e} / {item.allowed_fraction:.1e}",
        "same" if item.psnr is None else f"{item.psnr:.0f}",
        f"{item.max_abs:.1e}" if item.finite else "NaN",
        f"{item.max_relative:.0e} / {item.allowed_relative:.0e}" if item.finite else "NaN",
        f"{item.cosine:.8f}",
    ]


def print_figures(figures: Sequence[Figures]) -> None:
    """The parity table: what was measured against what is allowed, and a line for each figure that missed."""
    rows = [[*figure_cells(item), marked(item.passed)] for item in figures]
    print_table("Parity: measured / allowed", [*FIGURE_COLUMNS, ""], rows)
    for item in figures:
        for failure in item.failures():
            click.echo(f"FAILED {item.graph} against {item.against}, batch {item.batch}: {failure}")


def marked(passed: bool | None) -> str:
    """A verdict in colour; None is none."""
    return {True: "[green]ok[/]", False: "[red]FAILED[/]", None: "-"}[passed]


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)


def figures_document(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """The same, for JSON."""
    return [{**to_plain(item), "passed": item.passed, "failures": item.failures()} for item in figures]


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """A progress bar on a terminal, nothing in a pipe. Yields a function that advances it."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count=1: bar.advance(task, count)


@contextmanager
def stages() -> Iterator[Callable[[str], object]]:
    """A spinner on a terminal, nothing in a pipe. Yields a function that says what is being done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Console(stderr=True).status("") as spinner:
        yield lambda what: spinner.update(escape(what))


@contextmanager
def status(what: str) -> Iterator[None]:
    """A spinner on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(what):
        yield
