"""The part of `stylegan-edge verify` that compares layers: its options, its run, its table."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InputError
from stylegan_edge.options import Command

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint
    from runtime.bundle import Bundle
    from runtime.golden import GoldenInputs
    from runtime.graphs import OpenGraphs
    from runtime.layers.reference import LayerReference
    from runtime.layers.reports import LayerReport

BAR = 24
"""Characters of the longest bar in the table."""
BAR_DECADES = 8
"""Powers of ten from no bar, at the rounding of float32, to the longest."""
ROUNDING = 1e-8
MIB = 1 << 20
COLUMNS = ("layer", "error (rms)", "values", "growth", "worst channel", "largest", "border")
"""Of the table, whose cells are `layer_cells`."""


@dataclass(frozen=True)
class LayerOptions:
    """What was asked for. `memory` is in MiB (None: half of what is free)."""

    per_layer: bool
    memory: int | None


def layer_options(command: Command) -> Command:
    """The options that compare layers, handed to a command as one `layers`."""

    @functools.wraps(command)
    def packed(per_layer: bool, layer_memory: int | None, **values: Any) -> Any:
        if layer_memory is not None and not per_layer:
            raise InputError("--layer-memory is of --per-layer; give that too")
        return command(layers=LayerOptions(per_layer, layer_memory), **values)

    wrapped: Command = packed
    for option in (
        click.option(
            "--layer-memory",
            type=click.IntRange(1, 1 << 20),
            metavar="MIB",
            help="With --per-layer: memory for layers; where they take more, the first that differs is found by "
            "bisection [default: half of what is free].",
        ),
        click.option(
            "--per-layer",
            is_flag=True,
            help="Compare every layer's output with the reference's (with --reference all values, else the stored "
            "ones), and name the first that differs and what may be its cause.",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


@dataclass
class LayerCheck:
    """Examines the layers of each precision, with one reference for all."""

    golden: GoldenInputs
    reference: LayerReference
    memory: int
    reports: list[LayerReport] = field(default_factory=list)

    @classmethod
    def begin(cls, options: LayerOptions, bundle: Bundle, checkpoint: Checkpoint | None) -> LayerCheck | None:
        """Nothing where layers were not asked for. Raises InputError where the checkpoint is not the bundle's."""
        if not options.per_layer:
            return None
        from runtime.golden import GoldenInputs
        from runtime.layers.examine import free_memory
        from runtime.layers.reference import StoredProbes

        golden = GoldenInputs.of(bundle)
        stored = StoredProbes(golden)
        reference: LayerReference = stored if checkpoint is None else _network(golden, checkpoint)
        return cls(golden, reference, free_memory() if options.memory is None else options.memory * MIB)

    def add(self, graphs: OpenGraphs) -> None:
        """Examine what was opened."""
        from runtime.backends import DeviceRunner
        from runtime.layers.verify import verify_layers

        opener = None
        if isinstance(graphs.synthesis, DeviceRunner):
            opener = self._engines(graphs)
        self.reports += verify_layers(self.golden, graphs, self.reference, self.memory, opener)

    def _engines(self, graphs: OpenGraphs) -> Any:
        """Engines are built again, since a plan puts out what it was built to."""
        from engines.marked import open_marked_engine
        from runtime.backends.tensorrt import BACKENDS

        flavour = next(one for one, name in BACKENDS.items() if name is graphs.synthesis.backend)
        original, precision, options = self.golden.bundle, graphs.precision, graphs.options
        return lambda marked, graph: open_marked_engine(marked, original, flavour, precision, options, graph)

    @property
    def passed(self) -> bool:
        """Whether every layer is within its tolerance."""
        return all(report.passed for report in self.reports)

    def print(self) -> None:
        """A table a graph, then what was found."""
        for report in self.reports:
            _print_report(report)


def _network(golden: GoldenInputs, checkpoint: Checkpoint) -> LayerReference:
    from exporter.layers import NetworkReference
    from exporter.verify import matching

    return NetworkReference(matching(golden.bundle, checkpoint).completed().build(), golden)


def _print_report(report: LayerReport) -> None:
    from stylegan_edge.display import marked, print_table

    rows = [
        [cells[0], _bar(figures.rms), *cells[1:], marked(figures.passed)]
        for figures, cells in zip(report.layers, layer_cells(report))
    ]
    title = f"{title_of(report)}: relative to each layer's root mean square"
    print_table(title, [COLUMNS[0], "", *COLUMNS[1:], ""], rows, left=2)
    for line in conclusions(report):
        click.echo(line)


def title_of(report: LayerReport) -> str:
    """What was compared with what, and how."""
    return f"{report.graph} {report.precision}, layer by layer, against {report.against} ({report.method})"


def layer_cells(report: LayerReport) -> list[list[str]]:
    """A row a layer."""
    from runtime.layers.reports import ONE_PASS

    return [
        [
            figures.layer,
            f"{figures.rms:.1e} / {figures.allowed.rms:.0e}" if figures.finite else "NaN",
            f"{figures.values:,}",
            "-" if growth is None or report.method != ONE_PASS else f"x{growth:.2g}",
            f"{figures.channel_rms:.1e} ({figures.channel})",
            f"{figures.largest:.1e}",
            "-" if figures.border is None else f"{figures.border:.2g}",
        ]
        for figures, growth in zip(report.layers, report.growth)
    ]


def conclusions(report: LayerReport) -> Sequence[str]:
    """What was found, a line each: the first layer out of tolerance, and what may be its cause."""
    where = f"{report.graph} {report.precision}"
    if report.failure is None:
        lines = [f"{where}: every layer that was read is within its tolerance."]
    else:
        lines = [f"FAILED {where}: {report.failure}"]
        if not report.suspects:
            lines.append("  No known cause explains it.")
    return [*lines, *(f"  Suspected: {item.cause.value}: {item.evidence}." for item in report.suspects)]


def _bar(error: float) -> str:
    """Error on a logarithmic scale."""
    if not error > ROUNDING:
        return ""
    decades = math.log10(error) - math.log10(ROUNDING)  # their ratio may be more than a float holds
    return "#" * max(1, min(BAR, round(BAR * decades / BAR_DECADES)))
