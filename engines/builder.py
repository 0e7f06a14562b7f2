"""A graph to a plan: one way through every TensorRT from 8.6 to 11 and TensorRT-RTX.

Names that not every version has stand in `versions.Feature`, and are used after `Library.has` said that they are there.
Every variable that holds a TensorRT object is annotated with its class, by which a test looks up all that is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.options import BuildOptions, input_shapes
from engines.progress import BuildCancelledError, ProgressReport, Report, make_monitor
from runtime.cuda import on_gpu
from runtime.engine_record import MAX_WARNINGS, Hardware, version_numbers
from runtime.errors import EngineBuildError, StyleganEdgeError
from runtime.manifest import TensorInfo
from runtime.parity import BF16, FP8, INT8
from runtime.tensorrt.log import make_log, shorten
from runtime.tensorrt.types import NAMES
from runtime.tensorrt.versions import Feature, Library

if TYPE_CHECKING:
    import tensorrt

NOT_SELF_CONSISTENT = "not self-consistent"
"""TensorRT only warns of a graph that holds the batch it was traced with; its plan would fail for every other."""
ALWAYS_SHARED = (10,)
"""From this TensorRT on, contexts of one profile may run at the same time without being asked for."""
POLL = 0.1
"""Seconds between looks at whether the user interrupted."""
STARTING = 1.0
"""Seconds that a thread may take to begin."""


@dataclass(frozen=True)
class Source:
    """A graph to build: its file, its interface as the manifest gives it, and its precision.

    `content` is the graph itself where it is another than the file's, which then is its name in messages.
    """

    name: str
    path: Path
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    precision: str
    content: bytes | None = None

    def read(self) -> bytes:
        """The graph."""
        return self.path.read_bytes() if self.content is None else self.content


@dataclass(frozen=True)
class BuiltPlan:
    """What TensorRT made of a graph, what it warned of, and what it measured meanwhile."""

    plan: bytes
    warnings: tuple[str, ...]
    timing_cache: bytes | None


class PlanBuilder:
    """TensorRT's builder, for several graphs one after the other."""

    def __init__(self, library: Library, options: BuildOptions) -> None:
        """Check the options against what this TensorRT has. Raises InputError for one that it lacks."""
        options.check(library)
        self._library = library
        self._options = options
        self._log, self._messages = make_log(library)

    def build(self, source: Source, report: Report | None = None) -> BuiltPlan:
        """Build a graph's plan.

        Raises EngineBuildError with what TensorRT said where it refuses, InputError where it lacks the precision.

        The build runs in a thread, so that an interrupt reaches this one at once and is passed on to TensorRT: where
        it reports progress it stops within a step, else when this plan is done.
        """
        _check_dtypes(source)
        check_precision(self._library, source.precision)
        self._messages.clear()
        progress = ProgressReport(report)
        return _in_thread(lambda: self._build_on_gpu(source, progress), progress)

    def _build_on_gpu(self, source: Source, progress: ProgressReport) -> BuiltPlan:
        """In the thread that builds: which GPU CUDA uses is a matter of each thread's."""
        with on_gpu(self._options.gpu):
            return self._build(source, progress)

    def _build(self, source: Source, progress: ProgressReport) -> BuiltPlan:
        trt = self._library.module
        builder: tensorrt.Builder = trt.Builder(self._log)
        network: tensorrt.INetworkDefinition = builder.create_network(_network_flags(self._library))
        parser: tensorrt.OnnxParser = trt.OnnxParser(network, self._log)
        if not parser.parse(source.read()):
            raise EngineBuildError(f"{source.path}: {self._library.name} can't read it: {self._refusal(parser)}")
        config: tensorrt.IBuilderConfig = builder.create_builder_config()
        if source.precision == "fp16" and not self._library.has(Feature.STRONG_TYPING):
            allow_float16(self._library, network, config)
        if source.precision == INT8 and not self._library.has(Feature.STRONG_TYPING):
            config.set_flag(trt.BuilderFlag.INT8)  # it rounds where the graph does, and nowhere else
        self._configure(config)
        self._add_profiles(builder, config, source.inputs)
        cache = self._use_timing_cache(config)
        monitor = make_monitor(self._library, progress)
        if monitor is not None:
            config.progress_monitor = monitor
        plan: tensorrt.IHostMemory | None = builder.build_serialized_network(network, config)
        if progress.cancelled:
            raise BuildCancelledError
        self._check_plan(source, plan)
        return BuiltPlan(bytes(memoryview(plan)), self._kept_warnings(), cache())  # type: ignore[arg-type]

    def _configure(self, config: tensorrt.IBuilderConfig) -> None:
        """Flags and limits. float32 means float32: TF32, on by default in TensorRT, is off unless asked for."""
        trt, flags = self._library.module, self._options.flags
        if flags.tf32:
            config.set_flag(trt.BuilderFlag.TF32)
        else:
            config.clear_flag(trt.BuilderFlag.TF32)
        if flags.workspace is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, flags.workspace << 20)
        if flags.optimization_level is not None:
            config.builder_optimization_level = flags.optimization_level
        if flags.refittable:
            config.set_flag(trt.BuilderFlag.REFIT)
        if flags.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if flags.strip_weights:
            config.set_flag(trt.BuilderFlag.STRIP_PLAN)
            if not flags.refittable:
                config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)
        self._widen(config)

    def _widen(self, config: tensorrt.IBuilderConfig) -> None:
        """Where else the plan may run, and how often at the same time."""
        trt, flags = self._library.module, self._options.flags
        if self._library.has(Feature.PROFILE_SHARING) and version_numbers(self._library.version) < ALWAYS_SHARED:
            config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
        if flags.hardware is Hardware.AMPERE_PLUS:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        if flags.hardware is Hardware.SAME_CAPABILITY:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY

    def _add_profiles(
        self, builder: tensorrt.Builder, config: tensorrt.IBuilderConfig, inputs: Sequence[TensorInfo]
    ) -> None:
        for profile in self._options.profiles:
            ranges: tensorrt.IOptimizationProfile = builder.create_optimization_profile()
            for name, (least, typical, most) in input_shapes(inputs, profile).items():
                ranges.set_shape(name, least, typical, most)
            if config.add_optimization_profile(ranges) < 0:
                raise EngineBuildError(
                    f"{self._library.name} refuses the batch profile {profile}: {self._messages.last_error()}"
                )

    def _use_timing_cache(self, config: tensorrt.IBuilderConfig) -> Callable[[], bytes | None]:
        """Hand a timing cache over; returns what gives its bytes after the build."""
        given = self._options.timing_cache
        if given is None:
            return lambda: None
        cache: tensorrt.ITimingCache | None = config.create_timing_cache(given)
        if cache is None or not config.set_timing_cache(cache, False):
            raise EngineBuildError(
                f"the timing cache is none, or of another GPU or TensorRT than {self._library.name}; "
                "give another --timing-cache FILE"
            )

        def filled() -> bytes:
            after: tensorrt.ITimingCache = config.get_timing_cache()
            data: tensorrt.IHostMemory = after.serialize()
            return bytes(memoryview(data))

        return filled

    def _check_plan(self, source: Source, plan: Any) -> None:
        if plan is None:
            raise EngineBuildError(f"{source.path}: {self._library.name} can't build it: {self._messages.last_error()}")
        fixed = next((text for text in self._messages.warnings if NOT_SELF_CONSISTENT in text), None)
        if fixed is not None:
            raise EngineBuildError(
                f"{source.path}: its batch is not free ({shorten(fixed)}); give one batch, as in --batch 1, "
                "or export the bundle again"
            )

    def _refusal(self, parser: tensorrt.OnnxParser) -> str:
        """The parser's first error, with the node where this TensorRT names it."""
        if not parser.num_errors:
            return self._messages.last_error()
        error: tensorrt.ParserError = parser.get_error(0)
        what = shorten(error.desc())
        if self._library.has(Feature.PARSER_NODES):
            return f"node {error.node_name()!r}, operator {error.node_operator()}: {what}"
        return f"node number {error.node()}: {what}"

    def _kept_warnings(self) -> tuple[str, ...]:
        return tuple(shorten(text) for text in dict.fromkeys(self._messages.warnings))[:MAX_WARNINGS]


def check_precision(library: Library, precision: str) -> None:
    """Raise InputError where this TensorRT lacks what a graph of this precision is made of.

    Float8's opset, 19, came with strong typing, by which a graph's own types count; what has none has no bfloat16 in
    graphs either.
    """
    if precision == FP8:
        library.require(Feature.FLOAT8)
    if precision == BF16:
        library.require(Feature.STRONG_TYPING)


def _check_dtypes(source: Source) -> None:
    for item in (*source.inputs, *source.outputs):
        if item.dtype not in NAMES:
            raise EngineBuildError(
                f"{source.path}: {item.name} is {item.dtype}, which TensorRT would narrow; expected {', '.join(NAMES)}"
            )


def _network_flags(library: Library) -> int:
    """Explicit batch where that must be said; strong typing, by which precision comes from the graph, if it exists."""
    trt, flags = library.module, 0
    if library.has(Feature.EXPLICIT_BATCH):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    if library.has(Feature.STRONG_TYPING):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return flags


def allow_float16(library: Library, network: tensorrt.INetworkDefinition, config: tensorrt.IBuilderConfig) -> None:
    """Without strong typing, float16 is allowed or not for all layers at once: keep those that give float32 in it."""
    trt = library.module
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer: tensorrt.ILayer = network.get_layer(index)
        outputs: list[tensorrt.ITensor] = [layer.get_output(number) for number in range(layer.num_outputs)]
        if not outputs or any(not _is_float32(trt, output) for output in outputs):
            continue
        layer.precision = trt.DataType.FLOAT
        for number in range(len(outputs)):
            layer.set_output_type(number, trt.DataType.FLOAT)


def _is_float32(trt: Any, tensor: tensorrt.ITensor) -> bool:
    return bool(tensor.dtype == trt.DataType.FLOAT)


def _in_thread(work: Callable[[], BuiltPlan], progress: ProgressReport) -> BuiltPlan:
    """Run in a thread and wait for it; an interrupt here cancels the work, waits for its end and goes on.

    Waits by events: a `Thread.join` that is interrupted takes the thread for ended (CPython before 3.13).
    """
    results: list[BuiltPlan] = []
    errors: list[BaseException] = []
    begun, ended = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        try:
            if not progress.cancelled:
                results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, name="tensorrt-build").start()
        while not ended.wait(POLL):
            pass
    except BaseException:
        progress.cancel()
        _wait_for_end(begun, ended)
        raise
    if errors:
        raise _told(errors[0])
    return results[0]


def _wait_for_end(begun: threading.Event, ended: threading.Event) -> None:
    """Whatever else arrives: a process that ends while TensorRT still runs in it crashes.

    An interrupt may come while the thread starts, so it is given a moment; later, it sees that it is cancelled.
    """
    while True:
        try:
            if begun.wait(STARTING):
                ended.wait()
        except BaseException:  # noqa: S112 - a further interrupt changes nothing
            continue
        return


def _told(error: BaseException) -> BaseException:
    """TensorRT's own exceptions as one of ours."""
    if isinstance(error, (StyleganEdgeError, BuildCancelledError, MemoryError, OSError)):
        return error
    return EngineBuildError(f"TensorRT failed while it built ({type(error).__name__}: {shorten(str(error))})")
