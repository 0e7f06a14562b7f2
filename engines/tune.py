"""Which form of each up-convolution is the fastest on this GPU: every form of every layer is built alone, and timed.

TensorRT chooses among its kernels for the operators that a graph has; that the same sum can be had by other operators
it does not know. The graphs are rewritten by what was measured, and built and proven as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from engines.builder import PlanBuilder, Source
from engines.options import BuildOptions
from engines.progress import Report
from engines.up_graph import BATCH, INPUT, OUTPUT, UpGraph, UpLayer, layer_graph
from runtime.backends import RunOptions
from runtime.backends.tensorrt import open_graph
from runtime.backends.tensorrt.runner import TensorRtGraph
from runtime.cuda import load_driver
from runtime.device import Device
from runtime.engine_record import ENGINE_FORMAT, EngineRecord, LayerTuning, PlanInfo, Profile
from runtime.engines import Engine, plan_path
from runtime.errors import EngineBuildError, InputError
from runtime.manifest import GraphInfo, TensorInfo
from runtime.opsets import OPSET
from runtime.tensorrt.versions import Library
from runtime.up_forms import UP, UpForm

NOISE_MARGIN = 0.03
"""Share of TRANSPOSED's time by which another form must be faster to be taken. Nearer than that is a tie, which goes to
the form that export wrote: a layer timed alone is not quite the layer in its network."""
WARM_UP = 5
"""Runs before the first that counts: the first makes a context ready, the second records it, the rest raise clocks."""
ROUNDS = 15
"""Each round times every form once, so that a clock that wanders meets all of them; the median of an odd number of
rounds is one of them, and seven may be disturbed without moving it far."""
MIN_ROUNDS = 3
"""Rounds that are made however long they take: the fewest whose median leaves an outlier out."""
QUEUED = 20
"""Runs that are queued at once. Starting and waiting, which take as long as some runs of a small layer, are shared."""
MAX_SECONDS = 10.0
"""Of the rounds of one layer: with eight resolutions, a minute or two of a build that takes minutes."""
MICROSECONDS = 1e6

Times = Mapping[UpForm, float]
"""Seconds of a run, by form."""
Timer = Callable[[UpLayer], Times]
"""Times a layer's forms; those that can't be built are missing."""


@dataclass(frozen=True)
class Tuned:
    """The graphs in their new forms, and what was chosen and measured for each of their up-convolutions."""

    sources: list[Source]
    layers: tuple[LayerTuning, ...]


def tune(sources: Sequence[Source], timer: Timer, report: Report | None = None) -> Tuned:
    """Put every up-convolution of some graphs into its fastest form; layers of one shape are timed once.

    Raises InputError where no graph has an up-convolution to choose for, MissingDependencyError without onnx, and what
    `timer` raises.
    """
    graphs = {source.name: UpGraph(source.read()) for source in sources}
    layers = {_shape(layer): layer for graph in graphs.values() for layer in graph.layers}
    if not layers:
        raise InputError(
            f"{sources[0].path.parent}: nothing to tune, no up-convolution stands in its graphs as it is defined "
            "(StyleGAN2 alone has such, and export may have put small ones into another form); leave --tune out"
        )
    times: dict[LayerShape, Times] = {}
    for done, (shape, layer) in enumerate(layers.items(), start=1):
        times[shape] = timer(layer)
        if report is not None:
            report(done / len(layers))
    chosen = [_tuning(name, layer, times[_shape(layer)]) for name, graph in graphs.items() for layer in graph.layers]
    return Tuned([_rewritten(source, graphs[source.name], chosen) for source in sources], tuple(chosen))


def fastest_form(times: Times) -> UpForm:
    """The fastest; TRANSPOSED where none is faster by more than the noise, or nothing was timed."""
    if not times:
        return UpForm.TRANSPOSED
    best = min(times, key=lambda form: times[form])
    usual = times.get(UpForm.TRANSPOSED)
    return best if usual is None or times[best] < usual * (1 - NOISE_MARGIN) else UpForm.TRANSPOSED


def median_times(
    runs: Mapping[UpForm, Callable[[], float]], clock: Callable[[], float] = perf_counter
) -> dict[UpForm, float]:
    """The median of what each form's runs give, in rounds that begin with another form each."""
    seconds: dict[UpForm, list[float]] = {form: [] for form in runs}
    forms, start = list(runs), clock()
    for number in range(ROUNDS if forms else 0):
        if number >= MIN_ROUNDS and clock() - start > MAX_SECONDS:
            break
        first = number % len(forms)
        for form in forms[first:] + forms[:first]:
            seconds[form].append(runs[form]())
    return {form: median(values) for form, values in seconds.items()}


class DeviceTimer:
    """Times a layer's forms on the GPU that engines are built for: a plan each, as the network's own is built."""

    def __init__(self, library: Library, device: Device, options: BuildOptions, precision: str) -> None:
        """Raises BackendUnavailableError or MissingDependencyError where plans can't be run here."""
        load_driver()
        self._batch = options.profiles[0].typical
        self._options = replace(options, profiles=(Profile(self._batch, self._batch, self._batch),))
        self._builder = PlanBuilder(library, self._options)
        self._library, self._device, self._precision = library, device, precision

    def __call__(self, layer: UpLayer) -> dict[UpForm, float]:
        """Seconds of a run of each form that TensorRT builds, at the first profile's usual batch. Raises GpuError."""
        with TemporaryDirectory() as folder, ExitStack() as stack:
            runs: dict[UpForm, Callable[[], float]] = {}
            for form in layer.forms:
                graph = self._open(layer, form, Path(folder))
                if graph is not None:
                    stack.callback(graph.close)
                    runs[form] = self._warmed_up(graph, layer)
            return median_times(runs)

    def _warmed_up(self, graph: TensorRtGraph, layer: UpLayer) -> Callable[[], float]:
        """What times the graph once. Its input is noise: power, and with it the clock, depends on what is computed."""
        shape = (self._batch, layer.weight.shape[1], layer.side, layer.side)
        inputs = {INPUT: np.random.RandomState(0).standard_normal(shape).astype(layer.dtype)}
        for _ in range(WARM_UP):
            graph.run(inputs, [OUTPUT])
        return lambda: graph.time_queue(inputs, QUEUED)

    def _open(self, layer: UpLayer, form: UpForm, folder: Path) -> TensorRtGraph | None:
        """A layer alone, built and loaded; None where TensorRT refuses it in this form."""
        source = self._source(layer, form, folder)
        try:
            built = self._builder.build(source)
        except EngineBuildError:
            return None
        plan_path(folder, source.name).write_bytes(built.plan)
        info = PlanInfo(hashlib.sha256(built.plan).hexdigest(), len(built.plan), "", built.warnings)
        library, options = self._library, self._options
        record = EngineRecord(
            ENGINE_FORMAT,
            library.flavour,
            library.version,
            self._precision,
            options.profiles,
            options.flags,
            self._device,
            {source.name: info},
        )
        interface = GraphInfo(source.path.name, source.inputs, source.outputs, self._precision, OPSET, 0)
        run = RunOptions(gpu=options.gpu)
        return open_graph(library, Engine(folder, record), source.name, interface, source.path, run)

    def _source(self, layer: UpLayer, form: UpForm, folder: Path) -> Source:
        outputs, inputs = layer.weight.shape[:2]
        before = TensorInfo(INPUT, layer.dtype.name, (BATCH, inputs, layer.side, layer.side))
        after = TensorInfo(OUTPUT, layer.dtype.name, (BATCH, outputs, UP * layer.side, UP * layer.side))
        path = folder / f"{form.value}.onnx"
        return Source(form.value, path, (before,), (after,), self._precision, layer_graph(layer, form))


@dataclass(frozen=True)
class LayerShape:
    """All that a layer's time depends on. `taps` and `forms` of its filter, `dtype` by name."""

    outputs: int
    inputs: int
    side: int
    taps: int
    dtype: str
    forms: tuple[UpForm, ...]


def _shape(layer: UpLayer) -> LayerShape:
    outputs, inputs = layer.weight.shape[:2]
    return LayerShape(outputs, inputs, layer.side, len(layer.taps), layer.dtype.name, tuple(layer.forms))


def _tuning(graph: str, layer: UpLayer, times: Times) -> LayerTuning:
    microseconds = {form.value: round(seconds * MICROSECONDS, 2) for form, seconds in times.items()}
    return LayerTuning(graph, layer.name, fastest_form(times), microseconds)


def _rewritten(source: Source, graph: UpGraph, chosen: Sequence[LayerTuning]) -> Source:
    forms = {item.layer: item.form for item in chosen if item.graph == source.name}
    return replace(source, content=graph.rewritten(forms)) if forms else source
