"""Options that several commands share, checked where they are declared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runtime.errors import InputError

Command = Callable[..., Any]


MAX_SEED_DIGITS = 10
"""Digits of the largest seed, 2**32 - 1."""


class SeedList(click.ParamType):
    """`0-7,42` -> a list of ints."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Parse, with one line for a list that makes no sense."""
        from runtime.latents import parse_numbers

        if isinstance(value, list):
            return value
        try:
            return parse_numbers(value, what=param.name.rstrip("s") if param and param.name else "seed")
        except InputError as error:
            self.fail(str(error), param, ctx)


class Finite(click.ParamType):
    """A finite number."""

    name = "FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse; NaN and infinity are refused."""
        from runtime.generator import check_psi

        try:
            return check_psi(value)
        except InputError as error:
            self.fail(str(error).removeprefix("psi is "), param, ctx)


class NoiseOption(click.ParamType):
    """`const`, `none` or a seed."""

    name = "const|none|SEED"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """Parse."""
        if isinstance(value, int) or value in ("const", "none"):
            return value
        if not str(value).isdecimal() or len(str(value)) > MAX_SEED_DIGITS:
            self.fail(f"{str(value)[:40]!r} is not const, none or a seed", param, ctx)
        return int(value)


BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path))


def sampling_options(command: Command) -> Command:
    """How images are drawn: truncation, class, noise."""
    for option in (
        click.option("--psi", type=Finite(), default=1.0, show_default=True, help="Truncation: 0 mean image, 1 none."),
        click.option("--cutoff", type=click.IntRange(min=0), metavar="N", help="Truncate only the first N style rows."),
        click.option(
            "--class", "class_", type=click.IntRange(min=0), metavar="K", help="Class of a conditional model."
        ),
        click.option(
            "--noise",
            type=NoiseOption(),
            metavar="const|none|SEED",
            default="const",
            show_default=True,
            help="Where noise comes from.",
        ),
    ):
        command = option(command)
    return command


def running_options(command: Command) -> Command:
    """What executes the graphs."""
    for option in (
        click.option(
            "--backend", type=click.Choice(["auto", "onnxruntime"]), default="auto", show_default=True, help="Executor."
        ),
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads [default: all cores]."),
    ):
        command = option(command)
    return command


BATCH = click.option("--batch", type=click.IntRange(1, 256), help="Images to run at once [default: by resolution].")
FORCE = click.option("--force", is_flag=True, help="Replace what exists.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
