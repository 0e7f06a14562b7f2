"""`stylegan-edge bench`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_edge.options import BACKENDS, BUNDLE, FORCE, GPU, JSON, SeedList

if TYPE_CHECKING:
    from runtime.backends import RunOptions
    from runtime.bench import Entrant
    from runtime.bundle import Bundle


class Words(click.ParamType):
    """`a,b` -> a list of words, of a set where there is one."""

    def __init__(self, name: str, known: Sequence[str] = ()) -> None:
        self.name = name
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Parse, with one line for a word that is not known."""
        if isinstance(value, list):
            return value
        words = [word.strip() for word in str(value).split(",")]
        for word in words:
            if self._known and word not in self._known:
                self.fail(f"{word[:40]!r} is unknown, expected {', '.join(self._known)}", param, ctx)
        return words


@click.command("bench")
@BUNDLE
@click.option(
    "--backend",
    "backends",
    type=Words("B,...", BACKENDS),
    default=BACKENDS[0],
    show_default=True,
    help="What executes the graphs; auto is every way that loads.",
)
@click.option(
    "--batch", "batches", type=SeedList(), metavar="LIST", default="1", show_default=True, help="Batch sizes."
)
@click.option(
    "--precision", "precisions", type=Words("P,..."), help="Precisions of the graphs [default: all there are]."
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT",
    help="Measure PyTorch beside them: eager, compiled, and exported as it stands.",
)
@click.option("--skip", multiple=True, metavar="TEXT", help="Leave out contestants whose name contains this.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=30, show_default=True, help="Runs at a batch.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=20.0,
    show_default=True,
    help="Time of a contestant at a batch, after which it runs no more.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of every contestant [default: all cores].")
@GPU
@click.option(
    "--memory/--no-memory", default=True, show_default=True, help="Measure each alone, in a process of its own."
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page with plots.")
@FORCE
@JSON
def command(
    bundle: Path,
    backends: list[str],
    batches: list[int],
    precisions: list[str] | None,
    reference: Path | None,
    skip: tuple[str, ...],
    runs: int,
    seconds: float,
    threads: int | None,
    gpu: int,
    memory: bool,
    report: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Time BUNDLE's images in every way this machine has, in turns; compared first, and no figure where they differ.

    Exit code 1: images of the bundle's own graphs differ.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.bench import BenchOptions, own_entrants, run_bench
    from runtime.extras import require
    from runtime.output import check_new_file, write_atomically
    from runtime.records import to_plain
    from stylegan_edge.bench_table import print_outcome
    from stylegan_edge.display import print_json, stages

    if report is not None:
        check_new_file(report, force)
        require("matplotlib")
    options = BenchOptions(tuple(dict.fromkeys(batches)), runs, seconds, threads, gpu, memory)
    opened = Bundle(bundle)
    shared = RunOptions(threads=options.cores, gpu=gpu)
    entrants: list[Entrant] = [
        *own_entrants(opened, [BackendName(name) for name in backends], precisions or (), shared)
    ]
    baseline = None
    if reference is not None:
        theirs, baseline = _reference(opened, reference, shared)
        entrants = [*theirs, *entrants]
    entrants = [item for item in entrants if not any(text.lower() in str(item.label).lower() for text in skip)]
    with stages() as tell:
        outcome = run_bench(opened, entrants, options, baseline, tell)
    if as_json:
        print_json({"passed": outcome.passed, **to_plain(outcome)})
    else:
        print_outcome(outcome)
    if report is not None:
        from stylegan_edge.bench_report import render

        write_atomically(report, render(outcome).encode(), overwrite=force)
        if not as_json:
            click.echo(f"Report: {report}")
    return 0 if outcome.passed else 1


def _reference(bundle: Bundle, checkpoint: Path, options: RunOptions) -> tuple[list[Entrant], str]:
    from runtime.extras import require

    for module in ("torch", "onnx", "onnxscript"):
        require(module)
    from exporter.bench import BASELINE, matching_checkpoint, reference_entrants

    return [*reference_entrants(bundle, matching_checkpoint(bundle, checkpoint), options)], BASELINE
