"""Who draws: a bundle's graphs in every way that loads, at every precision. Others may enter beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from runtime.backends import BackendName, MemoryUse, RunOptions
from runtime.backends.precisions import precisions_on
from runtime.backends.ways import WAYS, Way
from runtime.bench.inputs import Inputs
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import Generator
from runtime.graphs import OpenGraphs


@dataclass(frozen=True)
class Label:
    """Who it is. `ours` says that it draws with the bundle's graphs, so that failing parity is our failure."""

    name: str
    precision: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.name}, {self.precision}"


@dataclass(frozen=True)
class Contestant:
    """One way to draw one batch.

    `run` is timed: it starts from styles in host memory and returns when the pixels are there. `look` gives image
    [N, C, H, W] and pixels [N, H, W, C], to compare.
    """

    run: Callable[[], object]
    look: Callable[[], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Alone:
    """How a process of its own draws the same: the module to run, and what it is told."""

    module: str
    arguments: dict[str, Any]


class Entrant(Protocol):
    """What is opened once, and enters a contestant at every batch."""

    @property
    def label(self) -> Label:
        """Who it is."""
        ...

    @property
    def alone(self) -> Alone:
        """Itself, in another process."""
        ...

    @property
    def device(self) -> str:
        """Where it draws, once it is open: "cpu" or "cuda"."""
        ...

    def open(self) -> None:
        """Load or build. What it raises is why it is left out."""
        ...

    def enter(self, inputs: Inputs) -> Contestant:
        """The contestant of a batch."""
        ...

    def memory(self) -> MemoryUse | None:
        """GPU memory that it knows to hold."""
        ...

    def close(self) -> None:
        """Free all. Never opened, it does nothing."""
        ...


class OwnEntrant:
    """A bundle's graphs, run in one way."""

    def __init__(self, bundle: Bundle, way: Way, precision: str, options: RunOptions) -> None:
        self.label = Label(way.name, precision, ours=True)
        self.device = "cpu"
        self._bundle, self._way, self._options = bundle, way, options
        self._generator: Generator | None = None

    @property
    def alone(self) -> Alone:
        """The same way and precision."""
        return Alone(
            "runtime.bench.alone",
            {
                "bundle": str(self._bundle.path.absolute()),
                "way": self.label.name,
                "precision": self.label.precision,
                "threads": self._options.threads,
                "gpu": self._options.gpu,
            },
        )

    def open(self) -> None:
        """Make the sessions, or load the plans."""
        graphs = self._way.open(self._bundle, ["mapping", "synthesis"], self.label.precision, self._options)
        opened = OpenGraphs(graphs["mapping"], graphs["synthesis"], None, precision=self.label.precision)
        self._generator = Generator(self._bundle, opened)
        self.device = self._generator.device

    def enter(self, inputs: Inputs) -> Contestant:
        """Pixels in host memory."""
        generator = self._generator
        assert generator is not None

        def draw(output: str = "pixels") -> np.ndarray:
            return generator.synthesize(inputs.styles, inputs.noise, output, inputs.batch, inputs.transform)

        return Contestant(draw, lambda: (draw("image"), draw()))

    def memory(self) -> MemoryUse | None:
        """What the backend says."""
        return None if self._generator is None else self._generator.memory()

    def close(self) -> None:
        """Close the graphs."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


def own_entrants(
    bundle: Bundle, backends: Collection[BackendName], precisions: Sequence[str], options: RunOptions
) -> list[OwnEntrant]:
    """The bundle's graphs in all ways of some backends (none, or `auto`: all), at some precisions.

    No precisions: all that the bundle holds. One that a backend computes without a graph has to be asked for.
    """
    every = not backends or BackendName.AUTO in backends
    ways = [way for way in WAYS if every or way.backend in backends]
    asked = _checked(bundle, ways, precisions)
    return [
        OwnEntrant(bundle, way, precision, options)
        for way in ways
        for precision in asked
        if precision in precisions_on(bundle, way.backend)
    ]


def _checked(bundle: Bundle, ways: Sequence[Way], asked: Sequence[str]) -> list[str]:
    """Precisions that one of the ways draws."""
    found = list(dict.fromkeys(name for way in ways for name in precisions_on(bundle, way.backend)))
    for precision in asked:
        if precision not in found:
            raise InputError(
                f"precision {precision[:40]!r} is not in {bundle.path}, expected {', '.join(found)}; "
                "export the bundle again with it"
            )
    return list(dict.fromkeys(asked)) or bundle.precisions
