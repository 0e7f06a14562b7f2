"""A bundle's graphs, opened together on one backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.backends import Attempt, BackendName, DeviceRunner, GraphRunner, RunOptions, open_graphs
from runtime.bundle import Bundle, graph_key
from runtime.errors import EngineMismatchError
from runtime.parity import FP32


@dataclass(frozen=True)
class SplitGraphs:
    """Synthesis in two: `head` makes the activations `crossing`, of which `tail` makes images.

    Both take styles and noise by the names of the whole graph; what one of them has no input for is left out.
    """

    head: GraphRunner
    tail: GraphRunner
    head_inputs: frozenset[str]
    tail_inputs: frozenset[str]
    crossing: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Bundle, precision: str, graphs: Mapping[str, GraphRunner]) -> SplitGraphs:
        """The graphs "head" and "tail" of a bundle."""
        first, last = bundle.graph("head", precision), bundle.graph("tail", precision)
        return cls(
            graphs["head"],
            graphs["tail"],
            frozenset(item.name for item in first.inputs),
            frozenset(item.name for item in last.inputs),
            tuple(item.name for item in first.outputs),
        )

    @classmethod
    def open(cls, bundle: Bundle, backend: BackendName, options: RunOptions, precision: str = FP32) -> SplitGraphs:
        """Open both. Raises what `open_graphs` raises, EngineMismatchError where no engine has them among that."""
        return cls.of(bundle, precision, open_graphs(bundle, ["head", "tail"], precision, backend, options)[0])

    @property
    def on_device(self) -> bool:
        """Whether what crosses stays on the GPU."""
        return isinstance(self.head, DeviceRunner) and isinstance(self.tail, DeviceRunner)

    def activations(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What the head makes of styles, noise and transform; on the GPU, to be read there, where it can stay."""
        given = {name: array for name, array in inputs.items() if name in self.head_inputs}
        if isinstance(self.head, DeviceRunner) and self.on_device:
            made = [array.as_source() for array in self.head.run_on_device(given, self.crossing)]
            return dict(zip(self.crossing, made))
        return dict(zip(self.crossing, self.head.run(given, self.crossing)))

    def images(
        self, activations: Mapping[str, Any], inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> list[np.ndarray]:
        """What the tail makes of activations, styles and noise."""
        given = {name: array for name, array in inputs.items() if name in self.tail_inputs}
        return self.tail.run({**activations, **given}, outputs)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Both, one after the other: the outputs of the whole graph."""
        return self.images(self.activations(inputs), inputs, outputs)

    def close(self) -> None:
        """Free what both hold."""
        self.head.close()
        self.tail.close()


@dataclass(frozen=True)
class OpenGraphs:
    """The graphs of a bundle.

    `pipeline` and `split` are None where the bundle or its engine has none, or they were not asked for.
    """

    mapping: GraphRunner
    synthesis: GraphRunner
    pipeline: GraphRunner | None
    attempts: tuple[Attempt, ...] = ()
    precision: str = FP32
    split: SplitGraphs | None = None
    options: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        backend: BackendName = BackendName.AUTO,
        options: RunOptions | None = None,
        precision: str = FP32,
        pipeline: bool = True,
        split: bool = True,
    ) -> OpenGraphs:
        """Open the graphs. Raises BackendUnavailableError or EngineMismatchError where the backend can't be had."""
        names = ["mapping", "synthesis"] + ["pipeline"] * (
            pipeline and graph_key("pipeline", precision) in bundle.manifest.graphs
        )
        options = options or RunOptions()
        graphs, attempts = open_graphs(bundle, names, precision, backend, options)
        with ExitStack() as stack:
            for graph in graphs.values():
                stack.callback(graph.close)
            halves = None
            if split and bundle.manifest.options.split is not None:
                halves = _split_if_built(bundle, graphs["synthesis"].backend, options, precision)
            stack.pop_all()
        pipeline_graph = graphs.get("pipeline")
        return cls(graphs["mapping"], graphs["synthesis"], pipeline_graph, tuple(attempts), precision, halves, options)

    def close(self) -> None:
        """Free what the graphs hold."""
        for graph in (self.mapping, self.synthesis, self.pipeline, self.split):
            if graph is not None:
                graph.close()


def _split_if_built(bundle: Bundle, backend: BackendName, options: RunOptions, precision: str) -> SplitGraphs | None:
    """Head and tail in the way of the other graphs; None where that is an engine without them."""
    try:
        return SplitGraphs.open(bundle, backend, options, precision)
    except EngineMismatchError:
        return None
