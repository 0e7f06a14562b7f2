"""Which way a bundle's graphs are executed: on the backend asked for, or the fastest that loads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime.backends.base import BackendName, RunOptions
from runtime.backends.precisions import is_computed
from runtime.backends.ways import WAYS, Graphs, Way
from runtime.bundle import Bundle
from runtime.engines import engine_folders
from runtime.errors import (
    BackendUnavailableError,
    EngineMismatchError,
    GpuError,
    IntegrityError,
    MissingDependencyError,
    StyleganEdgeError,
)

PASSED_OVER = (BackendUnavailableError, EngineMismatchError, GpuError, IntegrityError, MissingDependencyError)
"""Why a backend can't be had here. A changed plan, an IntegrityError, must not keep the graphs from running."""
RUNS_GRAPHS = (BackendName.ONNXRUNTIME, BackendName.OPENVINO)
"""Backends that never run an engine."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A way that was tried. `refused` says why it was passed over; None where it was, or can be, taken."""

    backend: BackendName
    way: str
    refused: str | None
    found: str = ""


def open_graphs(
    bundle: Bundle, names: Sequence[str], precision: str, backend: BackendName, options: RunOptions
) -> tuple[Graphs, list[Attempt]]:
    """Open graphs, all in one way; returns them by name (an engine may lack the pipeline), and what was tried.

    Raises the error of the backend asked for; BackendUnavailableError with all reasons where several ways were tried.
    """
    attempts: list[Attempt] = []
    errors: list[StyleganEdgeError] = []
    for way in _ways_for(bundle, names, precision, backend):
        try:
            graphs = way.open(bundle, names, precision, options)
        except PASSED_OVER as error:
            errors.append(error)
            attempts.append(Attempt(way.backend, way.name, str(error)))
            _log.info("%s: passed over: %s", way.name, error)
            continue
        attempts.append(Attempt(way.backend, way.name, None))
        _tell(bundle, backend, way, attempts)
        return graphs, attempts
    if len(errors) == 1:
        raise errors[0]
    raise BackendUnavailableError(f"{backend.value} can't run here: {_reasons(attempts)}")


def ways_of(backend: BackendName) -> list[Way]:
    """The ways to try for a backend, the fastest first."""
    return [way for way in WAYS if backend in (BackendName.AUTO, way.backend)]


def _ways_for(bundle: Bundle, names: Sequence[str], precision: str, backend: BackendName) -> list[Way]:
    """The ways that draw a precision. Raises BundleError for a graph that all lack, which is no backend's fault."""
    ways = ways_of(backend)
    computing = [way for way in ways if is_computed(bundle, precision, way.backend)]
    if computing:
        return computing
    for name in names:
        bundle.graph(name, bundle.precision_of(name, precision))
    return ways


def _reasons(attempts: Sequence[Attempt]) -> str:
    """Why each was passed over; a reason that several share is told once, so that a message has room for all."""
    ways: dict[str | None, list[str]] = {}
    for item in attempts:
        ways.setdefault(item.refused, []).append(item.way)
    return " | ".join(f"{', '.join(names)}: {refused}" for refused, names in ways.items())


def examine_ways(bundle: Bundle | None, options: RunOptions) -> Iterator[Attempt]:
    """Try every way: with a bundle whether its synthesis loads, else whether what executes graphs is there."""
    for way in WAYS:
        try:
            found = way.probe(options)
            if bundle is not None:
                for graph in way.open(bundle, ["mapping", "synthesis"], "fp32", options).values():
                    graph.close()
        except PASSED_OVER as error:
            yield Attempt(way.backend, way.name, str(error))
        else:
            yield Attempt(way.backend, way.name, None, found)


def _tell(bundle: Bundle, asked: BackendName, taken: Way, attempts: Sequence[Attempt]) -> None:
    """Log what was taken; aloud where the bundle holds engines, which somebody built to be run, and none was."""
    _log.info("%s: taken", taken.name)
    if asked is BackendName.AUTO and taken.backend in RUNS_GRAPHS and engine_folders(bundle):
        reason = next((item.refused for item in attempts if item.refused), "engines don't hold that precision")
        _log.warning("%s holds engines, but its graphs run in another way, %s: %s", bundle.path, taken.name, reason)
