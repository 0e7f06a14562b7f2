"""A benchmark from start to end: open, compare, take turns, sum up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from runtime.bench.contestants import Contestant, Entrant
from runtime.bench.inputs import Inputs
from runtime.bench.limits import Limits, measure_limits
from runtime.bench.machine import available_cores, read_machine
from runtime.bench.memory import Memory, measure_alone
from runtime.bench.power import PowerMeter
from runtime.bench.results import FORMAT, Line, Load, Outcome, Standing, Work
from runtime.bench.turns import LEAST_RUNS, WARM_UP, Runs, Timing, sum_up, take_turns
from runtime.bundle import Bundle
from runtime.cost import VALUE_BYTES, Cost, count_cost
from runtime.errors import BackendUnavailableError, InputError, StyleganEdgeError
from runtime.parity import BF16, FP8, FP16, INT8, TOLERANCES, Figures
from runtime.verify import check_batches

NARROW = {FP16: 2, BF16: 2, INT8: 1, FP8: 1}
"""Bytes of a value in the precisions whose values are not float32's."""
NO_GPU_LIMIT = "the machine's limit is that of its processor's cores; no GPU's was measured"
POWER_OF_CPU = "NVML tells a GPU's power; no contestant ran on one"


@dataclass(frozen=True)
class BenchOptions:
    """How much is measured: at most `runs` runs of a contestant at a batch, fewer once they took `seconds`."""

    batches: tuple[int, ...] = (1,)
    runs: int = 30
    seconds: float = 20.0
    threads: int | None = None
    gpu: int = 0
    memory: bool = True
    limits: bool = True

    def __post_init__(self) -> None:
        check_batches(self.batches)
        if not self.batches:
            raise InputError("no batch was given, expected one or more, as 1,4,8")
        if self.runs < 1 or not self.seconds > 0:
            raise InputError(f"runs is {self.runs} and seconds {self.seconds:g}, expected at least one and some time")

    @property
    def cores(self) -> int:
        """Threads that everybody gets."""
        return self.threads or available_cores()


def run_bench(
    bundle: Bundle,
    entrants: Sequence[Entrant],
    options: BenchOptions,
    baseline: str | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Outcome:
    """Measure all. What an entrant raises is a line of the outcome, and ends nothing else.

    `baseline` is the contestant that others are compared with; `tell` hears what is being done. Raises
    BackendUnavailableError where nothing of ours can be opened.
    """
    race = _Race(bundle, options, baseline, tell)
    try:
        ready = race.open(entrants)
        memory = race.measure_memory(ready)
        limits = race.measure_limits()
        for batch in options.batches:
            race.run_batch(ready, batch)
    finally:
        for entrant in entrants:
            entrant.close()
        race.close()
    again = race.measure_limits()
    limits = limits.or_better(again) if limits is not None and again is not None else limits
    return race.outcome(limits, memory)


class _Race:
    """One bundle's contestants, and what is found of them."""

    def __init__(
        self, bundle: Bundle, options: BenchOptions, baseline: str | None, tell: Callable[[str], object]
    ) -> None:
        self._bundle, self._options, self._baseline, self._tell = bundle, options, baseline, tell
        self._cost = count_cost(bundle.spec)
        self._lines: list[Line] = []
        self._missing: dict[str, str] = {}
        self._meter: PowerMeter | None = None

    def open(self, entrants: Sequence[Entrant]) -> list[Entrant]:
        """Those that load; of the others a line."""
        ready = []
        for entrant in entrants:
            self._tell(f"Opening {entrant.label}")
            try:
                if entrant.label.precision not in TOLERANCES:
                    raise InputError(f"nothing says how far {entrant.label.precision} images may be from float32")
                entrant.open()
            except Exception as error:
                self._leave_out(_line(entrant, None), error)
                continue
            ready.append(entrant)
        if not any(entrant.label.ours for entrant in ready):
            reasons = [f"{line.name}: {line.reason}" for line in self._lines if line.ours]
            raise BackendUnavailableError("nothing here can draw this bundle: " + " | ".join(reasons))
        if any(entrant.device == "cuda" for entrant in ready):
            self._missing["limits on the GPU"] = NO_GPU_LIMIT
            self._open_meter()
        else:
            self._missing["power"] = POWER_OF_CPU
        return ready

    def _open_meter(self) -> None:
        try:
            self._meter = PowerMeter(self._options.gpu)
        except StyleganEdgeError as error:
            self._missing["power"] = str(error)

    def measure_memory(self, ready: Sequence[Entrant]) -> dict[str, Memory]:
        """Each alone, at the largest batch."""
        if not self._options.memory:
            self._missing["memory"] = "not asked for"
            return {}
        found = {}
        for entrant in ready:
            self._tell(f"Memory of {entrant.label}")
            found[str(entrant.label)] = measure_alone(entrant, max(self._options.batches))
        return found

    def measure_limits(self) -> Limits | None:
        """What the cores can do now."""
        if not self._options.limits:
            self._missing["limits"] = "not asked for"
            return None
        self._tell("Measuring the machine's limit")
        try:
            return measure_limits(self._options.cores)
        except BackendUnavailableError as error:
            self._missing["limits"] = str(error)
            return None

    def run_batch(self, ready: Sequence[Entrant], batch: int) -> None:
        """Parity of each, then turns of those that passed."""
        inputs = Inputs.of(self._bundle, batch)
        entered: list[tuple[Contestant, Line]] = []
        for entrant in ready:
            self._tell(f"Parity of {entrant.label}, batch {batch}")
            line = _line(entrant, batch)
            try:
                contestant = entrant.enter(inputs)
                figures = inputs.compare(*contestant.look(), entrant.label.precision)
            except Exception as error:
                self._leave_out(line, error)
                continue
            line = dataclasses.replace(line, parity=figures, device=entrant.device)
            if figures.passed:
                entered.append((contestant, line))
            else:
                self._fail(line, figures)
        self._take_turns(entered, batch)

    def _take_turns(self, entered: Sequence[tuple[Contestant, Line]], batch: int) -> None:
        self._tell(f"Warming up, batch {batch}")
        still = []
        for item, warm in zip(entered, self._turns(entered, WARM_UP, least=1)):
            if warm.error is None:
                still.append(item)
            else:
                self._leave_out(item[1], warm.error)
        self._tell(f"Taking turns, batch {batch}")
        taken = self._turns(still, self._options.runs)
        first = next((runs for (_, line), runs in zip(still, taken) if line.contestant == self._baseline), None)
        for (contestant, line), runs in zip(still, taken):
            self._add(contestant, line, runs, first)

    def _turns(self, entered: Sequence[tuple[Contestant, Line]], turns: int, least: int = LEAST_RUNS) -> list[Runs]:
        return take_turns([contestant.run for contestant, _ in entered], turns, self._options.seconds, least)

    def _add(self, contestant: Contestant, line: Line, runs: Runs, baseline: Runs | None) -> None:
        if runs.error is not None:  # half a measurement is none
            self._leave_out(line, runs.error)
            return
        assert line.batch is not None
        timing = sum_up(runs, line.batch, baseline if baseline is not None and baseline.error is None else None)
        power = None
        if self._meter is not None and line.device == "cuda":
            self._tell(f"Power of {line.name}, batch {line.batch}")
            power = self._meter.measure(contestant.run)
        self._lines.append(dataclasses.replace(line, standing=Standing.MEASURED, timing=timing, power_w=power))

    def outcome(self, limits: Limits | None, memory: dict[str, Memory]) -> Outcome:
        """The sum of everything."""
        manifest = self._bundle.manifest
        return Outcome(
            format=FORMAT,
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            bundle=self._bundle.path.absolute().name,
            checkpoint=manifest.provenance.checkpoint,
            generation=self._bundle.spec.generation.value,
            resolution=self._bundle.spec.resolution,
            machine=read_machine(self._options.gpu),
            threads=self._options.cores,
            baseline=self._baseline,
            work=Work(self._cost.synthesis / 1e9, VALUE_BYTES * self._cost.weights, VALUE_BYTES * self._cost.moved),
            limits=limits,
            lines=tuple(_with_load(line, self._cost, limits) for line in self._lines),
            memory=memory,
            missing=self._missing,
        )

    def close(self) -> None:
        """Let the sensor go."""
        if self._meter is not None:
            self._meter.close()

    def _leave_out(self, line: Line, error: Exception) -> None:
        self._lines.append(dataclasses.replace(line, standing=Standing.LEFT_OUT, reason=told(error)))

    def _fail(self, line: Line, figures: Figures) -> None:
        reason = "; ".join(figures.failures())
        self._lines.append(dataclasses.replace(line, standing=Standing.FAILED_PARITY, reason=reason))


def _line(entrant: Entrant, batch: int | None) -> Line:
    label = entrant.label
    device = None if batch is None else entrant.device
    return Line(label.name, label.precision, label.ours, device, batch, Standing.LEFT_OUT)


def _with_load(line: Line, cost: Cost, limits: Limits | None) -> Line:
    if line.timing is None or line.batch is None:
        return line
    limited = line.device == "cpu" and line.precision != INT8  # it was measured in float32: integers go beyond it
    return dataclasses.replace(line, load=load_of(line.timing, line, cost, limits if limited else None))


def load_of(timing: Timing, line: Line, cost: Cost, limits: Limits | None) -> Load:
    """What a contestant did against what the machine can do."""
    assert line.batch is not None
    rate = cost.synthesis * timing.images_per_s / 1e9
    moved = cost.bytes_moved(line.batch, NARROW.get(line.precision, VALUE_BYTES))
    intensity = cost.synthesis * line.batch / moved
    if limits is None:
        return Load(rate, intensity, None, None, None)
    attainable = limits.attainable(intensity)
    return Load(rate, intensity, attainable, rate / limits.gmac_per_s, rate / attainable)


def told(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:600]
    return text if isinstance(error, StyleganEdgeError) else f"{type(error).__name__}: {text}"
