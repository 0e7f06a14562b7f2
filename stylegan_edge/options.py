"""Options that several commands share, checked where they are declared."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from runtime import Generator
    from runtime.generator import Cutoff

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
            return parse_numbers(value, what=param.opts[-1].lstrip("-").removesuffix("s") if param else "seed")
        except InputError as error:
            self.fail(str(error), param, ctx)


class Finite(click.ParamType):
    """A finite number."""

    name = "FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse; NaN and infinity are refused."""
        from runtime.arguments import check_psi

        try:
            return check_psi(value)
        except InputError as error:
            self.fail(str(error).removeprefix("psi is "), param, ctx)


class Decibels(click.ParamType):
    """A finite number of decibels, 0 or more."""

    name = "DB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, with one line for anything else."""
        from runtime.fastest import check_min_psnr

        try:
            return check_min_psnr(value)
        except InputError as error:
            self.fail(str(error).removeprefix("min_psnr is "), param, ctx)


class Pair(click.ParamType):
    """`X,Y` -> two finite numbers."""

    name = "X,Y"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Parse, with one line for anything else."""
        if isinstance(value, tuple):
            return value
        try:
            x, y = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{str(value)[:40]!r} is not two numbers like 0.25,-0.1", param, ctx)
        return x, y


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


class RememberingCommand(click.Command):
    """Keeps the arguments it was given, so that a report can say how it was made."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse."""
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


_ARGUMENTS = f"{__name__}.arguments"


def command_line() -> str:
    """The command that is running, a RememberingCommand, as one would type it."""
    context = click.get_current_context()
    return shlex.join([*context.command_path.split(), *context.meta[_ARGUMENTS]])


FORCE = click.option("--force", is_flag=True, help="Replace what exists.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
GPU = click.option("--gpu", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the GPU.")
BACKENDS = ("auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "openvino")
"""The values of `runtime.backends.BackendName`, which `--help` must not import."""
BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path))


@dataclass(frozen=True)
class Drawing:
    """How images are drawn, what executes the graphs, and whether existing files may be replaced."""

    psi: float
    cutoff: int | None
    class_: int | None
    noise: str | int
    backend: str
    precision: str
    min_psnr: float | None
    gpu: int
    threads: int | None
    batch: int | None
    force: bool

    def load(self, bundle: Path) -> Generator:
        """Open a bundle as asked."""
        from runtime import Generator
        from runtime.fastest import AUTO, MIN_PSNR

        if self.min_psnr is not None and self.precision != AUTO:
            raise InputError(f"--min-psnr is for --precision {AUTO}, not for {self.precision[:40]}; leave one out")
        least = MIN_PSNR if self.min_psnr is None else self.min_psnr
        generator = Generator.load(bundle, self.backend, self.precision, self.threads, self.gpu, min_psnr=least)
        # A GPU's memory must be freed while the interpreter is whole.
        click.get_current_context().call_on_close(generator.close)
        return generator

    def styles(self, generator: Generator, seeds: list[int]) -> np.ndarray:
        """Truncated styles [N, K, w_dim] of seeds, K seeds an image where the bundle mixes."""
        labels = None if self.class_ is None else generator.labels(self.class_, len(seeds))
        return generator.styles(generator.map(generator.latents(seeds), labels), self.psi, self.rows)

    @property
    def rows(self) -> Cutoff:
        """How many style rows to truncate."""
        return "own" if self.cutoff is None else self.cutoff


def running_options(command: Command) -> Command:
    """What executes the graphs."""
    for option in (
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            default=BACKENDS[0],
            show_default=True,
            help="What executes the graphs; auto takes the fastest that loads.",
        ),
        GPU,
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads [default: all cores]."),
    ):
        command = option(command)
    return command


def drawing_options(command: Command) -> Command:
    """All options of a command that draws, handed to it as one `drawing`."""

    @functools.wraps(command)
    def packed(**values: Any) -> Any:
        names = [field.name for field in dataclasses.fields(Drawing)]
        return command(drawing=Drawing(**{name: values.pop(name) for name in names}), **values)

    wrapped: Command = running_options(packed)
    for option in (
        click.option(
            "--precision",
            default="fp32",
            show_default=True,
            metavar="P",
            help="One of those that BUNDLE was exported in; auto takes the fastest of them; bf16 is OpenVINO's.",
        ),
        click.option(
            "--min-psnr",
            type=Decibels(),
            metavar="DB",
            help="With --precision auto: least PSNR from float32, as export measured it [default: 50].",
        ),
        click.option("--psi", type=Finite(), default=1.0, show_default=True, help="Truncation: 0 mean image, 1 none."),
        click.option(
            "--cutoff",
            type=click.IntRange(min=0),
            metavar="N",
            help="Truncate only the first N style rows [default: as the checkpoint's own code, all or StyleGAN's 8].",
        ),
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
        click.option("--batch", type=click.IntRange(1, 256), help="Images to run at once [default: by resolution]."),
        FORCE,
    ):
        wrapped = option(wrapped)
    return wrapped
