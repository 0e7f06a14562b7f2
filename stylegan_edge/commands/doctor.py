"""`stylegan-edge doctor`."""

from __future__ import annotations

import click

from stylegan_edge.options import JSON


@click.command("doctor")
@JSON
def command(as_json: bool) -> None:
    """Show what this machine has of what the commands need, and what to install. Exit code 1: nothing here can draw."""
    from runtime.doctor import MISSING, can_draw, examine
    from runtime.records import to_plain
    from stylegan_edge.display import print_facts, print_json

    findings = examine()
    if as_json:
        print_json({"can_draw": can_draw(findings), "findings": [to_plain(item) for item in findings]})
    else:
        print_facts("This machine", {item.what: item.found or MISSING for item in findings})
        for item in findings:
            if item.found is None:
                click.echo(f"{item.what} (for {item.needed_for}): {item.advice}")
    if not can_draw(findings):
        from stylegan_edge.cli import EXIT_CHECK_FAILED

        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
