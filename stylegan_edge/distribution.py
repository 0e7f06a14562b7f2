"""The part of `stylegan-edge verify` that compares distributions: its options, its run, its table."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InputError
from stylegan_edge.options import Command

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint
    from runtime.backends import RunOptions
    from runtime.bundle import Bundle
    from runtime.distribution import Distribution, DistributionFigures, Instruments, NotFinite, Sampling
    from runtime.graphs import OpenGraphs
    from runtime.verification import Distributions

SAMPLES = click.IntRange(20, 1_000_000)
"""`runtime.distribution.sampling`'s MIN_SAMPLES and MAX_SAMPLES, which `--help` must not import."""
EPSILONS = (1e-6, 0.03)
"""`runtime.distribution.paths`'s MIN_EPSILON and MAX_EPSILON."""

COLUMNS = ("figure", "reference", "engine", "difference", "sampling error", "rounding")
"""Of the table, whose cells are `distribution_cells`."""


class Epsilon(click.FloatRange):
    """A step within EPSILONS; click's own range lets NaN through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("nan is not a number", param, ctx)
        return number


class PathList(click.ParamType):
    """`a.onnx,b.onnx` -> paths."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, ...]:
        """Parse, with one line for a name that is missing."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in str(value).split(",")]
        if not all(names):
            self.fail(f"{str(value)[:40]!r} has an empty name, expected like a.onnx,b.onnx", param, ctx)
        return tuple(map(Path, names))


@dataclass(frozen=True)
class DistributionOptions:
    """What was asked for; nothing where `distribution` is None."""

    distribution: int | None
    features: Path | None
    attributes: tuple[Path, ...] | None
    path_epsilon: float | None


def distribution_options(command: Command) -> Command:
    """The options that compare distributions, handed to a command as one `asked`."""

    @functools.wraps(command)
    def packed(
        distribution: int | None,
        features: Path | None,
        attributes: tuple[Path, ...] | None,
        path_epsilon: float | None,
        **values: Any,
    ) -> Any:
        asked = DistributionOptions(distribution, features, attributes, path_epsilon)
        if distribution is None and (features, attributes, path_epsilon) != (None, None, None):
            raise InputError("--features, --attributes and --path-epsilon are of --distribution; give that too")
        return command(asked=asked, **values)

    wrapped: Command = packed
    for option in (
        click.option(
            "--path-epsilon",
            type=Epsilon(*EPSILONS),
            metavar="E",
            help="With --distribution: step of path lengths [default: 1e-4].",
        ),
        click.option(
            "--attributes",
            type=PathList(),
            metavar="LIST",
            help="With --distribution: ONNX classifiers, images [N, 3, H, W] to logits, for linear separability.",
        ),
        click.option(
            "--features",
            type=click.Path(path_type=Path),
            metavar="MODEL",
            help="With --distribution: ONNX model of path lengths, one image to features or two to a distance.",
        ),
        click.option(
            "--distribution",
            type=SAMPLES,
            metavar="N",
            help="Compare w, pixel statistics and path lengths over N samples with the reference's, or with float32's.",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


@dataclass
class DistributionCheck:
    """Measures the reference once, then each precision against it."""

    sampling: Sampling
    instruments: Instruments
    reference_name: str
    found: Distribution | NotFinite
    is_graph: bool
    figures: list[DistributionFigures] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        asked: DistributionOptions,
        bundle: Bundle,
        checkpoint: Checkpoint | None,
        seed: int,
        options: RunOptions,
    ) -> DistributionCheck | None:
        """Open what the user brings and measure the reference; None where no distribution was asked for."""
        if asked.distribution is None:
            return None
        from runtime.distribution import GraphDrawer, Instruments, Sampling, measure
        from runtime.distribution.paths import EPSILON

        sampling = Sampling.of(bundle, asked.distribution, seed)
        epsilon = EPSILON if asked.path_epsilon is None else asked.path_epsilon
        instruments = Instruments.open(bundle.spec.resolution, asked.features, asked.attributes or (), epsilon, options)
        drawer = GraphDrawer.reference(bundle, options) if checkpoint is None else _in_pytorch(bundle, checkpoint)
        found = measure(drawer, sampling, instruments)
        return cls(sampling, instruments, drawer.name, found, checkpoint is None)

    def add(self, bundle: Bundle, graphs: OpenGraphs) -> None:
        """Measure opened graphs against the reference; what is the reference itself is not judged by itself."""
        from runtime.distribution import GraphDrawer, compare, measure

        drawer = GraphDrawer(bundle, graphs)
        if self.is_graph and drawer.name == self.reference_name:
            self.figures += compare(self.found, self.found, graphs.precision, itself=True)
        else:
            self.figures += compare(self.found, measure(drawer, self.sampling, self.instruments), graphs.precision)

    @property
    def passed(self) -> bool:
        """Whether nothing that could be judged differs."""
        from runtime.distribution import all_equal

        return all_equal(self.figures)

    def outcome(self) -> Distributions:
        """All of it."""
        from runtime.verification import Distributions

        return Distributions(
            samples=self.sampling.samples,
            paths=self.sampling.paths,
            seed=self.sampling.seed,
            reference=self.reference_name,
            distance=self.instruments.rule.distance.name,
            epsilon=self.instruments.rule.epsilon,
            attributes=tuple(str(network.path) for network in self.instruments.attributes),
            figures=tuple(self.figures),
        )

    def print(self) -> None:
        """The table, and a line for each figure that is off or can't be judged."""
        from runtime.verification import why_not_equal
        from stylegan_edge.display import marked, print_table

        rows = [[*distribution_cells(item), marked(item.passed)] for item in self.figures]
        print_table("Distribution: difference / sampling error", [*COLUMNS, ""], rows)
        for item in self.figures:
            if item.passed is False:
                click.echo(f"FAILED {item.figure}, {item.precision}: {why_not_equal(item)}")
        for reason, names in not_judged(self.figures).items():
            click.echo(f"Not judged: {', '.join(names)}: {reason}")
        rule = self.instruments.rule
        click.echo(
            f"Distribution: {self.sampling.samples:,} samples and {self.sampling.paths:,} paths of epsilon "
            f"{rule.epsilon:g} from seed {self.sampling.seed}, by {rule.distance.name}, against {self.reference_name}."
        )


def _in_pytorch(bundle: Bundle, checkpoint: Checkpoint) -> Any:
    from exporter.distribution import ReferenceDrawer

    return ReferenceDrawer(bundle, checkpoint)


def distribution_cells(item: DistributionFigures) -> list[str]:
    """What both have, and by how much they differ."""
    numbers = (item.reference, item.engine, item.difference, item.sampling_error, item.rounding)
    shown = ["-" if number is None else f"{number:.5g}" for number in numbers[:2]]
    shown += ["-" if number is None else f"{number:.1e}" for number in numbers[2:]]
    return [f"{item.figure} {item.precision}", *shown]


def not_judged(figures: Sequence[DistributionFigures]) -> dict[str, list[str]]:
    """Reason -> figures; "all of P" where it is that of all."""
    result: dict[str, list[str]] = {}
    for precision in dict.fromkeys(item.precision for item in figures):
        own = [item for item in figures if item.precision == precision]
        same = all(item.passed is None and item.note == own[0].note for item in own)
        for item in own:
            if item.passed is None and not (same and item is not own[0]):
                result.setdefault(item.note, []).append(f"{'all' if same else item.figure} of {precision}")
    return result
