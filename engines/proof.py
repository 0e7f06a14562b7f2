"""An engine's images held against the bundle's golden samples, before anybody relies on it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from runtime.backends import GraphRunner, RunOptions
from runtime.backends.tensorrt import open_plan
from runtime.backends.ways import open_on_cpu
from runtime.bundle import Bundle
from runtime.engines import Engine
from runtime.errors import BackendUnavailableError, MissingDependencyError, ParityError
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.parity import Figures, all_passed
from runtime.tensorrt.versions import Library
from runtime.verify import default_batches, verify_golden


@dataclass(frozen=True)
class Proof:
    """What an engine's images were measured to be; `missing` says why they were not, where nothing could be run."""

    figures: tuple[Figures, ...] = ()
    missing: str | None = None


def prove_if_possible(bundle: Bundle, library: Library, engine: Engine, gpu: int = 0) -> Proof:
    """Like `prove`, but a machine that can build and not run is no error."""
    try:
        return Proof(tuple(prove(bundle, library, engine, gpu)))
    except (BackendUnavailableError, MissingDependencyError) as error:
        return Proof(missing=str(error))


def prove(bundle: Bundle, library: Library, engine: Engine, gpu: int = 0) -> list[Figures]:
    """Figures of every graph of an engine that fits this GPU, at several batch sizes.

    Raises ParityError where images differ by more than the tolerance, unless the engine was built with TF32, whose
    rounding its user asked for. Raises BackendUnavailableError or MissingDependencyError where nothing can be run here.
    """
    options = RunOptions(gpu=gpu)
    graphs: dict[str, GraphRunner] = {}
    with ExitStack() as stack:
        for name in engine.record.plans:
            graphs[name] = open_plan(bundle, library, engine, name, options)
            stack.callback(graphs[name].close)
        halves = {"head", "tail"} & set(graphs)
        needed = ["mapping", "synthesis"] + ["head", "tail"] * bool(halves)
        precision = engine.record.precision
        graphs |= open_on_cpu(bundle, [name for name in needed if name not in graphs], precision, options)
        split = SplitGraphs.of(bundle, precision, graphs) if halves else None
        opened = OpenGraphs(
            graphs["mapping"], graphs["synthesis"], graphs.get("pipeline"), precision=precision, split=split
        )
        figures = verify_golden(bundle, opened, default_batches(bundle.spec))
    if not all_passed(figures) and not engine.record.flags.tf32:
        worst = next(item for item in figures if not item.passed)
        raise ParityError(
            f"{bundle.path}: the engine draws other images ({worst.graph} at batch {worst.batch}: "
            f"{worst.failures()[0]}); it was not kept"
        )
    return figures
