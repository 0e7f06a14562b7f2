"""What a benchmark makes of known numbers: statistics, turns, the roofline, bytes moved, memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import Bundle
from runtime.backends import RunOptions
from runtime.bench import child, limits, memory, own_entrants
from runtime.bench.limits import Limits, measure_limits
from runtime.bench.memory import measure_alone, peak_resident
from runtime.bench.race import load_of
from runtime.bench.results import Line, Standing
from runtime.bench.turns import ENOUGH_FOR_P95, ENOUGH_FOR_P99, Runs, sum_up, take_turns
from runtime.cost import count_cost
from runtime.errors import BackendUnavailableError
from tests.tiny import tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec


def test_statistics_of_known_times() -> None:
    seconds = [item / 1e3 for item in range(1, 102)]
    timing = sum_up(Runs(wall=seconds, cpu=[2 * item for item in seconds]), batch=4)
    assert timing.runs == 101
    assert timing.median_ms == pytest.approx(51)
    assert timing.quartiles_ms == pytest.approx((26, 76))
    assert timing.p95_ms == pytest.approx(96)
    assert timing.p99_ms == pytest.approx(100)
    assert timing.fastest_ms == pytest.approx(1)
    assert timing.images_per_s == pytest.approx(4 / 0.051)
    assert timing.cores == pytest.approx(2)


@pytest.mark.parametrize("runs", [1, ENOUGH_FOR_P95 - 1, ENOUGH_FOR_P95, ENOUGH_FOR_P99 - 1, ENOUGH_FOR_P99])
def test_percentiles_need_enough_runs(runs: int) -> None:
    timing = sum_up(Runs(wall=[0.5] * runs, cpu=[0.5] * runs), batch=1)
    assert (timing.p95_ms is not None) is (runs >= ENOUGH_FOR_P95)
    assert (timing.p99_ms is not None) is (runs >= ENOUGH_FOR_P99)


def test_ratios_are_within_a_turn() -> None:
    """A machine that slows down tenfold changes no ratio; turns that only one took part in don't count."""
    slow, fast = [1.0, 10.0, 1.0, 2.0], [0.5, 5.0, 0.5]
    runs = Runs(wall=fast, cpu=fast)
    assert sum_up(runs, 1, Runs(wall=slow, cpu=slow)).times_baseline == pytest.approx(2)


def test_everybody_goes_first_in_turn() -> None:
    order: list[str] = []
    taken = take_turns([lambda: order.append("a"), lambda: order.append("b"), lambda: order.append("c")], turns=3)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert [len(runs.wall) for runs in taken] == [len(runs.cpu) for runs in taken] == [3, 3, 3]


def test_a_slow_one_sits_out_and_a_broken_one_ends() -> None:
    def broken() -> None:
        raise OSError("gone")

    calls = {"slow": 0, "quick": 0}

    def count(name: str) -> None:
        calls[name] += 1

    slow, quick, ended = take_turns([lambda: count("slow"), lambda: count("quick"), broken], 9, seconds=-1.0, least=5)
    assert (len(slow.wall), len(quick.wall), ended.wall) == (5, 5, [])
    assert str(ended.error) == "gone"
    (whole,) = take_turns([lambda: count("quick")], 9, seconds=3600)
    assert len(whole.wall) == 9


def test_the_roofline() -> None:
    machine = Limits(threads=2, gmac_per_s=100.0, gbyte_per_s=20.0, cores=1.5)
    assert machine.attainable(2.0) == 40
    assert machine.attainable(5.0) == machine.attainable(50.0) == 100
    assert machine.or_better(Limits(2, 90.0, 30.0, 2.0)) == Limits(2, 100.0, 30.0, 1.5)


def test_a_share_of_the_limit() -> None:
    cost = count_cost(tiny_spec())
    timing = sum_up(Runs(wall=[0.01], cpu=[0.01]), batch=4)
    machine = Limits(threads=1, gmac_per_s=1.0, gbyte_per_s=1e9, cores=1.0)
    load = load_of(timing, Line("x", "fp32", True, "cpu", 4, Standing.MEASURED), cost, machine)
    assert load.gmac_per_s == pytest.approx(cost.synthesis * 4 / 0.01 / 1e9)
    assert load.mac_per_byte == pytest.approx(4 * cost.synthesis / cost.bytes_moved(4))
    assert load.share_of_product == load.share_of_attainable == pytest.approx(load.gmac_per_s)
    half = load_of(timing, Line("x", "fp16", True, "cpu", 4, Standing.MEASURED), cost, machine)
    assert half.mac_per_byte == pytest.approx(2 * load.mac_per_byte)
    on_gpu = load_of(timing, Line("x", "fp32", True, "cuda", 4, Standing.MEASURED), cost, None)
    assert on_gpu.attainable is on_gpu.share_of_product is on_gpu.share_of_attainable is None


def test_bytes_are_what_layers_take_and_put_out() -> None:
    """The 16 px network of tests: 6, 5 and 4 channels at 4, 8 and 16 px."""
    costs = {item.name: item for item in count_cost(tiny_spec()).layers}
    assert costs["b4.conv1"].weights == 9 * 6 * 6
    assert costs["b4.conv1"].moved == 2 * 6 * 4 * 4
    assert costs["b8.conv0"].moved == 6 * 4 * 4 + 5 * 8 * 8
    assert costs["b16.torgb"].weights == 4 * 3
    assert costs["b16.torgb"].moved == (4 + 3) * 16 * 16
    cost = count_cost(tiny_spec())
    assert cost.bytes_moved(1) == 4 * (cost.weights + cost.moved)
    assert cost.bytes_moved(8, value_bytes=2) == 2 * (cost.weights + 8 * cost.moved)
    assert cost.synthesis == cost.total - cost.mapping


@pytest.mark.parametrize("spec", [tiny_stylegan1_spec(), tiny_stylegan3_spec(), tiny_stylegan3_spec(radial=True)])
def test_a_convolution_has_its_weights_times_its_positions(spec: object) -> None:
    for layer in count_cost(spec).layers:  # type: ignore[arg-type]
        assert layer.weights == 0 or layer.convolution % layer.weights == 0
        assert (layer.moved > 0) is (layer.weights > 0)


def test_the_limit_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def run(module: str, arguments: dict[str, int], environment: dict[str, str]) -> dict[str, float]:
        seen.update({"module": module, **arguments, **environment})
        return {"gmac_per_s": 5.0, "gbyte_per_s": 7.0, "cores": 2.5}

    monkeypatch.setattr(limits, "run_child", run)
    assert measure_limits(3) == Limits(3, 5.0, 7.0, 2.5)
    assert seen["module"] == "runtime.bench.limits"
    assert seen["OPENBLAS_NUM_THREADS"] == seen["OMP_NUM_THREADS"] == "3"


def test_both_rates_are_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(limits, "SIDE", 64)
    monkeypatch.setattr(limits, "COPY_BYTES", 1 << 16)
    monkeypatch.setattr(limits, "SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["limits", '{"threads": 2}'])
    limits.main()
    found = json.loads(capsys.readouterr().out)
    assert all(found[name] > 0 for name in ("gmac_per_s", "gbyte_per_s", "cores"))


def test_memory_is_of_a_process_of_its_own(tiny_bundle: Bundle) -> None:
    for entrant in own_entrants(tiny_bundle, (), (), RunOptions(threads=1)):
        found = measure_alone(entrant, batch=2)
        assert found.batch == 2
        assert found.device is None
        if entrant.label.name == "ONNX Runtime on the CPU":
            assert found.host_peak is not None
            assert 10 << 20 < found.host_peak < 2 << 30
            assert found.missing is None
        elif entrant.label.name == "ONNX Runtime with CUDA":
            assert "a process of its own ended with 1: this ONNX Runtime has" in str(found.missing)
            assert found.host_peak is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system is not Linux")
def test_the_peak_is_this_process_own() -> None:
    before = peak_resident()
    block = np.ones(64 << 20, np.uint8)
    after = peak_resident()
    assert before is not None
    assert after is not None
    assert after >= before
    assert after >= block.nbytes


def test_a_child_that_fails_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendUnavailableError, match=r"ended with 1: .*No module named"):
        child.run_child("runtime.bench.nothing", {})
    with pytest.raises(BackendUnavailableError, match="answered nothing that can be read"):
        child.run_child("this", {})
    monkeypatch.setattr(child, "SECONDS", 0.01)
    with pytest.raises(BackendUnavailableError, match=r"not done within 0\.01 s"):
        child.run_child("runtime.bench.limits", {"threads": 1})
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BackendUnavailableError, match="no process of its own can be started"):
        child.run_child("this", {})


def test_a_system_that_tells_no_peak(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle) -> None:
    entrant = own_entrants(tiny_bundle, (), (), RunOptions())[0]
    monkeypatch.setattr(memory, "run_child", lambda *_: {"host_peak": None, "device": 5})
    found = measure_alone(entrant, 1)
    assert (found.device, found.missing) == (5, "this system does not tell a process's peak memory")
