"""`build --tune` on a made-up GPU: what is chosen by injected times, stored, shown, run, refitted; what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.builder import Source
from engines.options import BuildOptions
from engines.store import find_sources
from engines.tune import (
    MAX_SECONDS,
    MIN_ROUNDS,
    NOISE_MARGIN,
    QUEUED,
    ROUNDS,
    DeviceTimer,
    fastest_form,
    median_times,
    tune,
)
from engines.up_graph import UpGraph, UpLayer
from exporter.networks.deploy import stylegan2
from exporter.networks.deploy.up import up_convolution
from runtime import Bundle, Generator
from runtime.device import read_device
from runtime.engine_record import EngineFlags, Flavour, Host, LayerTuning, Profile
from runtime.engines import choose_engine, engine_folders, read_engine
from runtime.errors import BackendUnavailableError, BundleError, InputError
from runtime.tensorrt.versions import load_library
from runtime.up_forms import UpForm
from stylegan_edge.cli import run
from tests.engines.tensorrt_cpu.session import TIMEOUT, session_environment
from tests.engines.test_refit import fine_tuned
from tests.engines.up_bundles import export_as_defined
from tests.made_up_gpu import tensorrt as made_up
from tests.made_up_gpu.machine import Machine
from tests.tiny import tiny_checkpoint

CHOSEN = {4: UpForm.POLYPHASE, 8: UpForm.FACTORED}
"""By the side of a layer's input: what the injected times make the fastest."""


def times_of(layer: UpLayer) -> dict[UpForm, float]:
    """Ten microseconds a form more, but for the one that is to be chosen."""
    seconds = {form: 1e-5 * (index + 2) for index, form in enumerate(layer.forms)}
    return {**seconds, CHOSEN[layer.side]: 1e-5}


@pytest.fixture(scope="module")
def defined(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("defined") / "bundle"
    return export_as_defined(tiny_checkpoint(), folder, precisions=("fp32", "fp16"), pipeline=True)


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("fine") / "bundle"
    return export_as_defined(fine_tuned(), folder, precisions=("fp32", "fp16"), pipeline=True)


@pytest.fixture
def bundle(defined: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(defined.path, tmp_path / "bundle"))


@pytest.fixture
def injected(monkeypatch: pytest.MonkeyPatch) -> list[UpLayer]:
    """Every layer that was timed; the times are `times_of`'s."""
    seen: list[UpLayer] = []

    def timer(layer: UpLayer) -> Mapping[UpForm, float]:
        seen.append(layer)
        return times_of(layer)

    monkeypatch.setattr("engines.store.DeviceTimer", lambda *_: timer)
    return seen


def build(bundle: Bundle, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Build with --tune; the document that tells of it."""
    capsys.readouterr()
    assert run(["build", str(bundle.path), "--tune", *arguments, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def refused(bundle: Bundle, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """A build that must end with one line, and leave no engine."""
    before = engine_folders(bundle)
    capsys.readouterr()
    assert run(["build", str(bundle.path), "--tune", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert engine_folders(bundle) == before
    return output.err


def operators(plan: bytes) -> list[str]:
    """Of the up-convolutions in a made-up plan."""
    model = onnx.load_model_from_string(plan.split(b"\n", 1)[1])
    return [node.op_type for node in model.graph.node if "_conv0_up" in node.name]


class TestChoice:
    def test_the_fastest_is_taken(self) -> None:
        times = {UpForm.TRANSPOSED: 3.0, UpForm.FUSED: 1.0, UpForm.PHASES: 2.0}
        assert fastest_form(times) is UpForm.FUSED

    @pytest.mark.parametrize(("share", "form"), [(0.99, UpForm.TRANSPOSED), (1.01, UpForm.FUSED)])
    def test_a_tie_goes_to_what_export_wrote(self, share: float, form: UpForm) -> None:
        times = {UpForm.TRANSPOSED: 1.0, UpForm.FUSED: 1 - share * NOISE_MARGIN}
        assert fastest_form(times) is form

    def test_what_export_wrote_may_be_what_tensorrt_refuses(self) -> None:
        assert fastest_form({UpForm.FUSED: 2.0, UpForm.PHASES: 1.0}) is UpForm.PHASES
        assert fastest_form({}) is UpForm.TRANSPOSED

    def test_rounds_begin_with_another_form_each(self) -> None:
        order: list[UpForm] = []

        def timed(form: UpForm, values: Iterator[float]) -> Any:
            def once() -> float:
                order.append(form)
                return next(values)

            return once

        forms = (UpForm.TRANSPOSED, UpForm.PHASES, UpForm.FUSED)
        disturbed = {form: iter([9.0] * 7 + [float(index)] * 8) for index, form in enumerate(forms)}
        found = median_times({form: timed(form, values) for form, values in disturbed.items()}, lambda: 0.0)
        assert found == {form: float(index) for index, form in enumerate(forms)}
        assert len(order) == 3 * ROUNDS
        assert order[:9] == [forms[index] for index in (0, 1, 2, 1, 2, 0, 2, 0, 1)]

    def test_slow_layers_get_fewer_rounds(self) -> None:
        clock, values = count(0.0, 2 * MAX_SECONDS), iter([5.0, 1.0, 2.0])
        assert median_times({UpForm.FUSED: lambda: next(values)}, lambda: next(clock)) == {UpForm.FUSED: 2.0}
        assert next(values, None) is None, "the fewest rounds are made whatever they take"
        assert MIN_ROUNDS == 3
        assert median_times({}) == {}


class TestTuning:
    def test_layers_of_one_shape_are_timed_once(self, bundle: Bundle) -> None:
        seen: list[UpLayer] = []
        shares: list[float] = []
        sources = find_sources(bundle, "fp32", ())

        def timer(layer: UpLayer) -> Mapping[UpForm, float]:
            seen.append(layer)
            return times_of(layer)

        tuned = tune(sources, timer, shares.append)
        assert [layer.side for layer in seen] == [4, 8]
        assert shares == [0.5, 1.0]
        chosen = [(item.graph, item.layer, item.form) for item in tuned.layers]
        assert chosen == [
            ("pipeline", "synthesis.b8_conv0_up", UpForm.POLYPHASE),
            ("pipeline", "synthesis.b16_conv0_up", UpForm.FACTORED),
            ("synthesis", "b8_conv0_up", UpForm.POLYPHASE),
            ("synthesis", "b16_conv0_up", UpForm.FACTORED),
        ]
        assert tuned.layers[0].microseconds == {
            "transposed": 20.0,
            "phases": 30.0,
            "fused": 40.0,
            "polyphase": 10.0,
            "factored": 60.0,
        }
        by_name = {source.name: source for source in tuned.sources}
        assert by_name["mapping"] == next(source for source in sources if source.name == "mapping")
        for name in ("pipeline", "synthesis"):
            assert by_name[name].path == bundle.graph_path(name)
            assert UpGraph(by_name[name].read()).layers == ()

    def test_a_layer_that_stays_is_as_it_was(self, bundle: Bundle) -> None:
        sources = find_sources(bundle, "fp32", ["synthesis"])
        tuned = tune(sources, lambda layer: dict.fromkeys(layer.forms, 1.0))
        assert {item.form for item in tuned.layers} == {UpForm.TRANSPOSED}
        written = onnx.load_model_from_string(tuned.sources[0].read())
        assert written == onnx.load_model_from_string(bundle.graph_path("synthesis").read_bytes())

    def test_without_an_up_convolution_there_is_nothing_to_do(self, stylegan3_bundle: Bundle) -> None:
        def never(layer: UpLayer) -> Mapping[UpForm, float]:
            raise AssertionError(layer)

        with pytest.raises(InputError, match=r"nothing to tune, .* leave --tune out"):
            tune(find_sources(stylegan3_bundle, "fp32", ()), never)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_tuned_engine_is_proven_kept_and_run(
    bundle: Bundle, machine: Machine, injected: list[UpLayer], capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    document = build(bundle, capsys, "--precision", precision)
    assert document["flags"]["tune"] is True
    assert document["unproven"] is None
    assert {item["graph"] for item in document["parity"]} >= {"synthesis", "pipeline"}
    assert all(item["passed"] for item in document["parity"])
    forms = {item["layer"]: item["form"] for item in document["tuning"] if item["graph"] == "synthesis"}
    assert forms == {"b8_conv0_up": "polyphase", "b16_conv0_up": "factored"}
    assert document["tuning"][0]["microseconds"]["transposed"] == 20.0
    engine = read_engine(Path(document["engine"]))
    assert operators(engine.read_plan("synthesis")) == ["Conv", "DepthToSpace", "Conv", "DepthToSpace", "Conv"]
    expected = Generator.load(bundle, "onnxruntime", precision=precision).generate([1, 2])
    with Generator.load(bundle, "tensorrt", precision=precision) as generator:
        allowed = 1 if precision == "fp32" else 4
        assert np.abs(generator.generate([1, 2]).astype(int) - expected).max() <= allowed


def test_it_stands_beside_an_untuned_one_and_goes_first(
    bundle: Bundle, machine: Machine, injected: list[UpLayer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(bundle.path), "--graph", "synthesis"]) == 0
    (plain,) = engine_folders(bundle)
    tuned = Path(build(bundle, capsys, "--graph", "synthesis")["engine"])
    assert sorted([plain, tuned]) == engine_folders(bundle)
    record = read_engine(plain).record
    assert choose_engine(bundle, Host(record.device, record.flavour, record.tensorrt)).folder == tuned
    assert "--tune" in read_engine(tuned).rebuild_command.split()
    assert "--tune" not in read_engine(plain).rebuild_command
    timed = len(injected)
    assert "exists already" in refused(bundle, capsys, "--graph", "synthesis")
    assert len(injected) == timed, "timed before it was refused"
    assert Path(build(bundle, capsys, "--graph", "synthesis", "--force")["engine"]) == tuned


def test_inspect_and_build_show_what_was_chosen(
    bundle: Bundle, machine: Machine, injected: list[UpLayer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(bundle.path), "--tune", "--graph", "synthesis"]) == 0
    line = "b16_conv0_up: factored (microseconds alone: factored 10.0, transposed 20.0, phases 30.0"
    assert line in capsys.readouterr().out
    assert run(["inspect", str(bundle.path)]) == 0
    assert "tuned: synthesis b16_conv0_up: factored" in capsys.readouterr().out
    assert run(["inspect", str(bundle.path), "--json"]) == 0
    (engine,) = json.loads(capsys.readouterr().out)["engines"]
    assert [item["form"] for item in engine["tuning"]] == ["polyphase", "factored"]
    (engine_folders(bundle)[0] / "engine.json").write_text("{}")
    assert run(["inspect", str(bundle.path)]) == 0
    assert "build the engine again" in capsys.readouterr().out


def test_an_engine_that_draws_other_images_is_not_kept(
    bundle: Bundle,
    machine: Machine,
    injected: list[UpLayer],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where TensorRT has a wrong kernel for a form."""
    read = Source.read

    def spoilt(source: Source) -> bytes:
        model = onnx.load_model_from_string(read(source))
        for item in model.graph.initializer:
            if "factored" in item.name:
                item.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(item) * 2, item.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(Source, "read", spoilt)
    assert run(["build", str(bundle.path), "--tune"]) == 1
    assert "the engine draws other images" in capsys.readouterr().err
    assert engine_folders(bundle) == []


SESSION = """
import engines.store
from tests.engines.tensorrt_cpu import session
from tests.engines.test_tune import times_of
engines.store.DeviceTimer = lambda *_: times_of
session.main()
"""


def test_tensorrt_builds_the_rewritten_graphs(bundle: Bundle, tensorrt_libraries: Path) -> None:
    """Its own parser and builder, on the CPU; what they made can't be run there, and the command says so."""
    arguments = ["tensorrt", "build", str(bundle.path), "--tune", "--json"]
    for precision in ("fp32", "fp16"):
        done = subprocess.run(
            [sys.executable, "-c", SESSION, *arguments, "--precision", precision],
            capture_output=True,
            text=True,
            env=session_environment(tensorrt_libraries),
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert {item["form"] for item in document["tuning"]} == {"polyphase", "factored"}
        assert document["plans"]["synthesis"]["warnings"] == []
        assert document["unproven"] is not None
        assert read_engine(Path(document["engine"])).read_plan("synthesis")


class TestRefit:
    def test_a_tuned_engine_takes_other_weights(
        self,
        bundle: Bundle,
        other_weights: Bundle,
        machine: Machine,
        injected: list[UpLayer],
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        build(bundle, capsys, "--refittable")
        target = Bundle(shutil.copytree(other_weights.path, tmp_path / "target"))
        assert run(["build", str(target.path), "--refit", str(bundle.path), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [item["form"] for item in document["tuning"]] == ["polyphase", "factored"] * 2
        expected = Generator.load(target, "onnxruntime").generate([1, 2])
        with Generator.load(target, "tensorrt") as generator:
            assert np.abs(generator.generate([1, 2]).astype(int) - expected).max() <= 1

    def test_a_bundle_in_other_forms_is_refused(
        self,
        bundle: Bundle,
        machine: Machine,
        injected: list[UpLayer],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        """As a release that chooses otherwise would export it with the same options."""
        build(bundle, capsys, "--refittable")
        monkeypatch.setattr(stylegan2, "up_convolution", lambda _, *rest: up_convolution(UpForm.PHASES, *rest))
        target = export_as_defined(tiny_checkpoint(), tmp_path / "target", pipeline=True)
        assert run(["build", str(target.path), "--refit", str(bundle.path)]) == 2
        error = capsys.readouterr().err
        assert "has no up-convolution 'synthesis.b8_conv0_up' like the one that the engine was tuned for" in error
        assert "with --tune" in error
        assert engine_folders(target) == []

    def test_a_bundle_without_a_graph_of_the_engine_is_refused(
        self,
        bundle: Bundle,
        machine: Machine,
        injected: list[UpLayer],
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        build(bundle, capsys, "--refittable")
        target = export_as_defined(tiny_checkpoint(), tmp_path / "target")
        assert run(["build", str(target.path), "--refit", str(bundle.path)]) == 2
        assert "has no graph 'pipeline' in fp32, which the engine has" in capsys.readouterr().err

    def test_building_and_refitting_are_two_things(self, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert "--tune does not go with --refit" in refused(bundle, capsys, "--refit", str(bundle.path))


class TestRefused:
    def test_nothing_to_tune(
        self, tiny_bundle: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        bundle = Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
        assert "nothing to tune" in refused(bundle, capsys)

    def test_weights_that_come_from_the_bundle(
        self, bundle: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "--tune does not go with --strip-weights" in refused(bundle, capsys, "--strip-weights")

    def test_no_onnx(
        self,
        bundle: Bundle,
        machine: Machine,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        assert "pip install 'stylegan-edge[tune]'" in refused(bundle, capsys)

    def test_no_gpu(
        self, bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Machine
    ) -> None:
        def none(index: int = 0) -> None:
            raise BackendUnavailableError("no NVIDIA GPU was found")

        monkeypatch.setattr("runtime.device.read_device", none)
        assert "no NVIDIA GPU was found" in refused(bundle, capsys)

    def test_a_gpu_that_can_not_run_plans(
        self, bundle: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
        monkeypatch.setitem(sys.modules, "cuda.bindings", None)
        monkeypatch.setitem(sys.modules, "cuda", None)
        assert "cuda is not installed" in refused(bundle, capsys)


class TestDeviceTimer:
    """The made-up GPU computes on the CPU, so that its times mean nothing; that there are some is what is tested."""

    def timer(self, precision: str, *profiles: Profile) -> DeviceTimer:
        options = BuildOptions(profiles or (Profile(1, 2, 4),), EngineFlags(tune=True))
        return DeviceTimer(load_library(Flavour.TENSORRT), read_device(), options, precision)

    @pytest.mark.parametrize("precision", ["fp32", "fp16"])
    def test_every_form_is_timed(self, bundle: Bundle, machine: Machine, precision: str) -> None:
        timer = self.timer(precision)
        for layer in UpGraph(bundle.graph_path("synthesis", precision).read_bytes()).layers:
            times = timer(layer)
            assert list(times) == list(UpForm)
            assert all(seconds > 0 for seconds in times.values())
            assert machine.live == 0

    def test_runs_are_queued_and_waited_for_once(
        self, bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The batch is the first profile's usual one, and uploads and downloads are no part of a timed run."""
        seen: list[tuple[int, int]] = []

        def spy(lane: Any, step: Any, inputs: Any, count: int) -> float:
            seen.append((step.batch, count))
            return 1.0

        monkeypatch.setattr("runtime.backends.tensorrt.lane.Lane.time_queue", spy)
        timer = self.timer("fp32", Profile(1, 3, 4), Profile(8, 8, 8))
        layer = UpGraph(bundle.graph_path("synthesis").read_bytes()).layers[0]
        assert timer(layer) == dict.fromkeys(UpForm, 1.0)
        assert seen == [(3, QUEUED)] * ROUNDS * len(UpForm)

    def test_a_form_that_tensorrt_refuses_is_left_out(
        self, bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(made_up, "REFUSED", {"DepthToSpace"})
        layer = UpGraph(bundle.graph_path("synthesis").read_bytes()).layers[0]
        assert list(self.timer("fp32")(layer)) == [UpForm.TRANSPOSED, UpForm.FUSED]

    def test_what_goes_wrong_on_the_gpu_leaves_nothing_there(self, bundle: Bundle, machine: Machine) -> None:
        timer = self.timer("fp32")
        layer = UpGraph(bundle.graph_path("synthesis").read_bytes()).layers[0]
        machine.fail("cuMemHostAlloc", 2)
        with pytest.raises(Exception, match="CUDA_ERROR_OUT_OF_MEMORY"):
            timer(layer)

    def test_the_whole_command(self, bundle: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        document = build(bundle, capsys, "--graph", "synthesis", "--batch", "1,2,4")
        for item in document["tuning"]:
            assert set(item["microseconds"]) == {form.value for form in UpForm}


@pytest.mark.parametrize("figures", [{"winograd": 1.0}, {"fused": -1.0}, {"fused": float("nan")}])
def test_a_record_with_no_time_of_a_form_is_damaged(figures: dict[str, float]) -> None:
    with pytest.raises(BundleError, match="expected a form's time"):
        LayerTuning("synthesis", "b8_conv0_up", UpForm.FUSED, figures)
