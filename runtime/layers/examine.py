"""Find the first layer that differs: in one pass that reads all layers, or by bisection where memory is short."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.backends import GraphRunner
from runtime.bundle import Bundle
from runtime.layers.bisection import bisect
from runtime.layers.compare import PIXELS_TOLERANCE, LayerFigures, allowed, compare_layer
from runtime.layers.difference import Difference
from runtime.layers.marked import IMAGE, PIXELS, layers_of, mark_bundle, read_model
from runtime.layers.reference import LayerReference, whole_border, whole_layer
from runtime.layers.reports import BISECTION, ONE_PASS, Cause, LayerReport, Suspect
from runtime.parity import FP32, TOLERANCES, to_pixels
from runtime.spec import LayerOutput

COPIES = 3
"""How often a layer is in memory while it is compared: in the graph's memory, as it was read, and as it should be."""
BYTES = 4
"""Of a value: layers are read as float32."""
MEMORY_SHARE = 0.5
"""Part of the memory that is free which reading layers may take."""
FALLBACK_MEMORY = 1 << 30
"""Bytes to take where the system does not say what is free."""

Inputs = Mapping[str, np.ndarray]
OpenMarked = Callable[[Bundle, str], GraphRunner]
"""Opens a graph of a marked copy of a bundle in the way that is examined; engines are built for it."""


@dataclass(frozen=True)
class Subject:
    """A graph to examine, opened: as it is, and a way to open a copy of its bundle that says more."""

    bundle: Bundle
    graph: str
    precision: str
    runner: GraphRunner
    inputs: Inputs
    images: np.ndarray
    open_marked: OpenMarked


def free_memory() -> int:
    """Bytes that reading layers may take."""
    try:
        text = Path("/proc/meminfo").read_text()
        line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
        return int(int(line.split()[1]) * 1024 * MEMORY_SHARE)
    except (OSError, StopIteration, ValueError):
        return FALLBACK_MEMORY


def examine(subject: Subject, reference: LayerReference, memory: int) -> LayerReport:
    """Compare a graph's layers and name the first that is out of tolerance.

    All layers are read in one pass where they fit into `memory` bytes. Else the last is read alone, and where it is out
    of tolerance the first such layer is looked for by bisection, a pass for each layer read.
    """
    model = read_model(subject.bundle, subject.graph, subject.precision)
    layers = layers_of(subject.bundle.spec, subject.graph, model)
    reader = _Reader(subject, reference, layers)
    size = sum(item.channels * (item.size or 1) ** 2 for item in layers)
    if size * BYTES * COPIES * len(subject.images) <= memory:
        figures, method = reader.read(list(layers)), ONE_PASS
    else:
        figures, method = bisect(list(layers), reader.read), BISECTION
    figures += reader.pixels()
    first = next((item for item in figures if not item.passed), None)
    suspects: Sequence[Suspect] = ()
    if first is not None:
        suspects = reference.suspects(reader.difference(first, model.opset), subject.images)
    elif reader.unmarked > TOLERANCES[subject.precision].max_relative:
        told = f"its image differs by {reader.unmarked:.1e} of the range from that of the same graph with layers read"
        suspects = [Suspect(Cause.FUSION, told, None)]
    return LayerReport(
        graph=subject.graph,
        precision=subject.precision,
        backend=subject.runner.backend.value,
        device=subject.runner.device,
        against=reference.name,
        method=method,
        layers=tuple(figures),
        first=None if first is None else first.layer,
        suspects=tuple(suspects),
        unmarked=reader.unmarked,
    )


class _Reader:
    """Reads layers of a subject, compares them and keeps the values of the first that is out of tolerance."""

    def __init__(self, subject: Subject, reference: LayerReference, layers: Mapping[LayerOutput, str]) -> None:
        self._subject, self._reference, self._layers = subject, reference, layers
        self._rounding = subject.bundle.spec.synthesis.float32_rounding
        self._kept: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._image: np.ndarray | None = None
        self._pixels: np.ndarray | None = None
        self.unmarked = 0.0

    def read(self, outputs: Sequence[LayerOutput]) -> list[LayerFigures]:
        """Figures of some layers, read in one run of the graph."""
        subject = self._subject
        measured = self._run(outputs)
        expected = self._reference.expected(outputs, subject.images)
        figures: list[LayerFigures] = []
        for item in outputs:
            truth = expected.pop(item.name)
            values = self._reference.cut(item, measured.pop(item.name))
            # Mapping, and truncation behind it, are float32 in every precision.
            precision = FP32 if item.size is None else subject.precision
            found = compare_layer(item, truth.values, values, truth.border, allowed(precision, self._rounding))
            if not found.passed and all(other.passed for other in figures):  # the first of them may be the first of all
                self._kept[item.name] = truth.values, values, truth.border
            figures.append(found)
        return figures

    def _run(self, outputs: Sequence[LayerOutput]) -> dict[str, np.ndarray]:
        """Open a copy of the bundle that says these layers, run it, close it."""
        subject = self._subject
        final = [] if subject.graph == "mapping" else [IMAGE]
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stylegan-edge-layers-")))
            values = {item: self._layers[item] for item in outputs}
            marked, names = mark_bundle(subject.bundle, subject.graph, subject.precision, values, folder)
            runner = subject.open_marked(marked, subject.graph)
            stack.callback(runner.close)
            wanted = list(dict.fromkeys([*names.values(), *final]))
            results = dict(zip(wanted, runner.run(subject.inputs, wanted)))
        if final:
            self._compare_image(results[IMAGE])
        return {item.name: results[name] for item, name in names.items()}

    def _compare_image(self, marked: np.ndarray) -> None:
        """How far the graph as it is draws from the one that says more: a runtime may compute that in another way."""
        if self._image is None:
            self._image, self._pixels = self._subject.runner.run(self._subject.inputs, [IMAGE, PIXELS])
        spread = float(np.ptp(self._image)) or 1.0
        off = float(np.abs(self._image - marked).max()) / spread
        self.unmarked = max(self.unmarked, float(np.nan_to_num(off, nan=np.finfo(np.float64).max)))

    def pixels(self) -> list[LayerFigures]:
        """Figures of what makes `pixels` of `image`, the graph's last step; none where it makes no image."""
        if self._image is None or self._pixels is None:
            return []
        output = self._pixels_output
        truth = whole_layer(output, to_pixels(self._image).transpose(0, 3, 1, 2))
        values = whole_layer(output, self._pixels.transpose(0, 3, 1, 2))
        border = whole_border(output)
        found = compare_layer(output, truth, values, border, PIXELS_TOLERANCE)
        self._kept[output.name] = truth, values, border
        return [found]

    @property
    def _pixels_output(self) -> LayerOutput:
        spec = self._subject.bundle.spec
        return LayerOutput(PIXELS, spec.img_channels, spec.resolution)

    def difference(self, own: LayerFigures, opset: int) -> Difference:
        """The first layer out of tolerance, with its values."""
        subject = self._subject
        stored = subject.bundle.precision_of(subject.graph, subject.precision)
        reference, measured, border = self._kept[own.layer]
        outputs = [*self._layers, self._pixels_output]
        position = [item.name for item in outputs].index(own.layer)
        return Difference(
            output=outputs[position],
            own=own,
            position=position,
            precision=subject.precision,
            reference=reference,
            measured=measured,
            border=border,
            opset=opset,
            expected_opset=subject.bundle.graph(subject.graph, stored).opset,
        )
