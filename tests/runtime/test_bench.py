"""A benchmark of a bundle's own graphs: who is measured, who is not, and what is said of both."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime import Bundle
from runtime.backends import BackendName, RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bench import BenchOptions, Contestant, Entrant, Inputs, Label, Outcome, Standing, own_entrants, run_bench
from runtime.bench.contestants import Alone
from runtime.bench.machine import available_cores
from runtime.bench.results import Line
from runtime.errors import BackendUnavailableError, InputError
from runtime.parity import to_pixels
from tests.made_up_gpu.machine import Machine, add_engine

FAST = BenchOptions(batches=(1, 3), runs=6, seconds=5.0, threads=1, memory=False, limits=False)
CPU = "ONNX Runtime on the CPU"
ENGINE = "TensorRT engine"


def measure(bundle: Bundle, options: BenchOptions = FAST, **more: Any) -> Outcome:
    return run_bench(bundle, own_entrants(bundle, (), (), RunOptions(threads=1)), options, **more)


def lines_of(outcome: Outcome, contestant: str) -> list[Line]:
    return [line for line in outcome.lines if line.contestant == contestant]


@pytest.fixture(params=["tiny_bundle", "conditional_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def any_bundle(request: pytest.FixtureRequest) -> Bundle:
    bundle: Bundle = request.getfixturevalue(request.param)
    return bundle


def test_every_generation_is_measured(any_bundle: Bundle) -> None:
    outcome = measure(any_bundle)
    assert outcome.passed
    assert outcome.resolution == 16
    for batch, line in zip((1, 3), lines_of(outcome, CPU), strict=True):
        assert (line.batch, line.device, line.standing) == (batch, "cpu", Standing.MEASURED)
        assert line.parity is not None
        assert line.parity.passed
        assert line.timing is not None
        assert line.timing.runs == 6
        assert line.timing.fastest_ms <= line.timing.quartiles_ms[0] <= line.timing.median_ms
        assert line.timing.images_per_s == pytest.approx(1e3 * batch / line.timing.median_ms)
        assert line.timing.p95_ms is line.timing.p99_ms is line.timing.times_baseline is None


def test_what_does_not_load_is_listed_with_its_reason(tiny_bundle: Bundle) -> None:
    outcome = measure(tiny_bundle)
    left_out = {line.contestant: line for line in outcome.lines if line.standing is Standing.LEFT_OUT}
    assert "expected CUDAExecutionProvider" in str(left_out["ONNX Runtime with CUDA"].reason)
    assert all(line.batch is None and line.timing is None for line in left_out.values())


def test_backends_and_precisions_may_be_chosen(tiny_bundle: Bundle) -> None:
    entrants = own_entrants(tiny_bundle, [BackendName.ONNXRUNTIME], ["fp32"], RunOptions())
    assert [str(item.label) for item in entrants] == ["ONNX Runtime with CUDA, fp32", f"{CPU}, fp32"]
    with pytest.raises(InputError, match=r"precision 'fp7' is not in .*, expected fp32"):
        own_entrants(tiny_bundle, (), ["fp7"], RunOptions())


def test_a_precision_without_a_tolerance_is_left_out(tiny_bundle: Bundle) -> None:
    (entrant,) = [item for item in own_entrants(tiny_bundle, (), (), RunOptions()) if item.label.name == CPU]
    entrant.label = dataclasses.replace(entrant.label, precision="fp7")
    with pytest.raises(BackendUnavailableError, match="nothing says how far fp7 images may be"):
        run_bench(tiny_bundle, [entrant], FAST)


def test_wrong_images_get_no_figure(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any, inputs: Any, outputs: Any) -> list[np.ndarray]:
        drawn = self._session.run(list(outputs), dict(inputs))
        return [array + array.dtype.type(1) for array in drawn]

    monkeypatch.setattr(OnnxRuntimeGraph, "run", run)
    outcome = measure(tiny_bundle)
    assert not outcome.passed
    assert not [line for line in outcome.measured if line.contestant == CPU]
    for line in lines_of(outcome, CPU):
        assert line.standing is Standing.FAILED_PARITY
        assert (line.timing, line.load, line.power_w) == (None, None, None)
        assert "of the range, allowed 1e-04" in str(line.reason)


def test_a_contestant_that_breaks_while_it_is_timed_has_no_figure(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_run, calls = OnnxRuntimeGraph.run, []

    def run(self: Any, inputs: Any, outputs: Any) -> list[np.ndarray]:
        calls.append(1)
        if len(calls) > 7:
            raise ValueError("no more")
        return own_run(self, inputs, outputs)

    monkeypatch.setattr(OnnxRuntimeGraph, "run", run)
    (line, _) = lines_of(measure(tiny_bundle), CPU)
    assert (line.standing, line.reason, line.timing) == (Standing.LEFT_OUT, "ValueError: no more", None)


class Guest:
    """Not ours: draws the golden images, or something else."""

    def __init__(self, name: str, offset: float = 0.0) -> None:
        self.label, self.device = Label(name, "fp32", ours=False), "cpu"
        self.alone = Alone("runtime.bench.none", {})
        self.offset, self.closed = offset, 0

    def open(self) -> None:
        pass

    def enter(self, inputs: Inputs) -> Contestant:
        image = inputs.tiles[:, 0] + np.float32(self.offset)
        return Contestant(lambda: None, lambda: (image, to_pixels(image)))

    def memory(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def test_guests_are_compared_with_and_their_failure_is_not_ours(tiny_bundle: Bundle) -> None:
    base, wrong = Guest("base"), Guest("wrong", 0.1)
    entrants: list[Entrant] = [base, wrong, *own_entrants(tiny_bundle, (), (), RunOptions(threads=1))]
    outcome = run_bench(tiny_bundle, entrants, FAST, baseline="base")
    assert outcome.passed
    assert {line.standing for line in lines_of(outcome, "wrong")} == {Standing.FAILED_PARITY}
    for name, faster in (("base", True), (CPU, False)):
        timing = lines_of(outcome, name)[0].timing
        assert timing is not None
        assert timing.times_baseline is not None
        assert (timing.times_baseline == 1) is faster
    assert base.closed == wrong.closed == 1


def test_nothing_of_ours_is_an_error_with_every_reason(tiny_bundle: Bundle) -> None:
    engines = own_entrants(tiny_bundle, [BackendName.TENSORRT, BackendName.TENSORRT_RTX], (), RunOptions())
    with pytest.raises(BackendUnavailableError, match=r"nothing here can draw .*TensorRT engine.*TensorRT-RTX"):
        run_bench(tiny_bundle, [Guest("base"), *engines], FAST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": ()}, "no batch was given"),
        ({"batches": (1, 0)}, "batch 0 is out of range, expected 1 to 256"),
        ({"batches": (257,)}, "batch 257 is out of range"),
        ({"runs": 0}, "runs is 0"),
        ({"seconds": 0.0}, "seconds 0"),
        ({"seconds": float("nan")}, "seconds nan"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BenchOptions(**options)


def test_everybody_gets_as_many_threads() -> None:
    assert BenchOptions(threads=3).cores == 3
    assert BenchOptions().cores == available_cores() >= 1


def test_inputs_are_the_golden_images_repeated(tiny_bundle: Bundle) -> None:
    inputs = Inputs.of(tiny_bundle, 40)
    assert inputs.batch == 40
    assert 0 < inputs.distinct < 40
    assert (inputs.styles[inputs.distinct] == inputs.styles[0]).all()
    image = inputs.tiles[:, 0]
    assert inputs.compare(image, to_pixels(image)).passed
    assert not inputs.compare(np.roll(image, 1, axis=0), to_pixels(image)).passed
    far = image.copy()
    far[:, :, 5, 5] = np.nan
    assert inputs.compare(far, to_pixels(image)).failures() == ["NaN or infinity in the output"]


class NvmlError(Exception):
    pass


@pytest.fixture
def engine_bundle(machine: Machine, tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle with an engine for the made-up GPU."""
    bundle = Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    add_engine(bundle)
    return bundle


def made_up_nvml(monkeypatch: pytest.MonkeyPatch, watts: float | None) -> list[bytes]:
    """A module `pynvml`; None: its driver refuses. Returns what it is asked for."""
    asked: list[bytes] = []

    def read(_: object) -> int:
        if watts is None:
            raise NvmlError("Not Supported")
        return round(1e3 * watts)

    module = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: asked.append(b"shutdown"),
        nvmlDeviceGetHandleByPciBusId=lambda address: asked.append(address),
        nvmlDeviceGetPowerUsage=read,
    )
    monkeypatch.setattr("runtime.bench.power.require", lambda _: module)
    monkeypatch.setattr("runtime.bench.power.PowerMeter.measure.__defaults__", (0.2, 0.0))
    return asked


def test_an_engine_is_measured_with_its_memory_and_power(
    engine_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = made_up_nvml(monkeypatch, watts=123.5)
    outcome = measure(engine_bundle)
    for line in lines_of(outcome, ENGINE):
        assert (line.device, line.standing, line.power_w) == ("cuda", Standing.MEASURED, 123.5)
        assert line.load is not None
        assert line.load.share_of_attainable is None
    assert all(line.power_w is None for line in lines_of(outcome, CPU))
    assert asked == [b"0000:01:00.0", b"shutdown"]
    assert outcome.machine.gpu is not None
    assert "power" not in outcome.missing
    assert "no GPU's was measured" in outcome.missing["limits on the GPU"]


def test_power_that_can_not_be_read_has_a_reason(engine_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_nvml(monkeypatch, watts=None)
    outcome = measure(engine_bundle, dataclasses.replace(FAST, batches=(1,)))
    assert outcome.missing["power"] == "NVML gives no power here: Not Supported"
    assert lines_of(outcome, ENGINE)[0].power_w is None


def test_an_engine_that_draws_wrong_images_fails(engine_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.backends.tensorrt.runner import TensorRtGraph

    made_up_nvml(monkeypatch, watts=1.0)
    own_run = TensorRtGraph.run
    monkeypatch.setattr(TensorRtGraph, "run", lambda self, *given: [item // 2 for item in own_run(self, *given)])
    outcome = measure(engine_bundle)
    assert not outcome.passed
    assert {line.standing for line in lines_of(outcome, ENGINE)} == {Standing.FAILED_PARITY}
    assert {line.standing for line in lines_of(outcome, CPU)} == {Standing.MEASURED}
