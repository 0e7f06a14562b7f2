"""`stylegan-edge doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.options import GPU, JSON

if TYPE_CHECKING:
    from runtime.backends import Attempt
    from runtime.doctor import Finding


@click.command("doctor")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@GPU
@JSON
def command(bundle: Path | None, gpu: int, as_json: bool) -> None:
    """Show what this machine has of what the commands need, and what to install; with BUNDLE, which backend takes it.

    Exit code 1: nothing here can draw.
    """
    from runtime import Bundle
    from runtime.backends import RunOptions, examine_ways
    from runtime.doctor import can_draw, examine
    from runtime.records import to_plain
    from stylegan_edge.display import print_json

    opened = None if bundle is None else Bundle(bundle)
    findings = examine(gpu)
    attempts = list(examine_ways(opened, RunOptions(gpu=gpu)))
    able = can_draw(attempts)
    if as_json:
        print_json({"can_draw": able, "findings": to_plain(findings), "backends": to_plain(attempts)})
    else:
        _print(findings, attempts, bundle)
    if not able:
        from stylegan_edge.cli import EXIT_CHECK_FAILED

        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _print(findings: Sequence[Finding], attempts: Sequence[Attempt], bundle: Path | None) -> None:
    from runtime.doctor import MISSING
    from stylegan_edge.display import print_facts, print_table

    print_facts("This machine", {item.what: item.found or MISSING for item in findings})
    for item in findings:
        if item.found is None:
            click.echo(f"{item.what} (for {item.needed_for}): {item.advice}")
    taken = next((item for item in attempts if item.refused is None), None)
    title = "Backends, the fastest first" if bundle is None else f"Backends for {bundle}, the fastest first"
    rows = [[item.backend.value, item.way, item.refused or item.found] for item in attempts]
    print_table(title, ["backend", "way", "here"], rows, words=True)
    click.echo("auto takes: " + (f"{taken.way}." if taken else "none; install one of the above."))
