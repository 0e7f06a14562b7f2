"""OpenVINO on the CPU: the same images as ONNX Runtime's, at its turn, and bfloat16 only where it really is."""

from __future__ import annotations

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.backends import BackendName, GraphRunner, RunOptions, examine_ways
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.backends.precisions import graph_precision, precisions_on
from runtime.bench import own_entrants
from runtime.errors import BackendUnavailableError, BundleError, InputError, MissingDependencyError
from runtime.graphs import OpenGraphs
from runtime.manifest import Manifest
from runtime.parity import BF16, BFLOAT16, FLOAT16, FLOAT32, Comparison, all_passed
from runtime.transforms import make_transform
from runtime.verify import verify_golden
from stylegan_edge.cli import run
from tests.conftest import export
from tests.tiny import tiny_checkpoint

pytest.importorskip("openvino")

from runtime.backends import openvino

WAY = "OpenVINO on the CPU"
OPTIONS = RunOptions(threads=1)


@pytest.fixture(params=["tiny_bundle", "conditional_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def any_bundle(request: pytest.FixtureRequest) -> Bundle:
    bundle: Bundle = request.getfixturevalue(request.param)
    return bundle


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)


class MadeUpBf16:
    """Lets OpenVINO say that the CPU has bfloat16, and that a graph is computed in what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[str, str]] = []
        compile_ = openvino._compile

        def recording(core: Any, path: Path, told: Any) -> Any:
            self.told.append((path.name, told["INFERENCE_PRECISION_HINT"]))
            return compile_(core, path, told)

        monkeypatch.setattr(openvino, "_compile", recording)
        monkeypatch.setattr(openvino, "has_bf16", lambda _: True)
        monkeypatch.setattr(openvino, "computed_precision", lambda _: self.told[-1][1])


def assert_same_images(measured: list[np.ndarray], expected: list[np.ndarray]) -> None:
    comparison = Comparison("synthesis", "onnxruntime", len(expected[0]), rounding=4.0)
    comparison.add_images(expected[0], measured)
    assert comparison.figures().failures() == []
    assert measured[1].dtype == np.uint8


def synthesis_inputs(bundle: Bundle, batch: int, noises: int) -> dict[str, np.ndarray]:
    """Random styles and transform of `batch` images, and noise of `noises`."""
    random = np.random.RandomState(batch)
    inputs = {}
    for item in bundle.graph("synthesis").inputs:
        count = noises if item.name.startswith("noise") else batch
        shape = [count, *item.shape[1:]]
        inputs[item.name] = random.randn(*shape).astype(np.float32)
        if item.name == "transform":
            inputs[item.name] = np.stack([make_transform(30.0 * index, (0.1, 0.2)) for index in range(batch)])
    return inputs


def runners(bundle: Bundle, name: str = "synthesis", precision: str = "fp32") -> tuple[GraphRunner, GraphRunner]:
    path = bundle.graph_path(name, precision)
    return openvino.OpenVinoGraph(path, OPTIONS), OnnxRuntimeGraph(path, OPTIONS)


def test_images_are_those_of_onnxruntime(any_bundle: Bundle) -> None:
    graph, other = runners(any_bundle)
    for batch, noises in ((1, 1), (3, 1), (3, 3), (2, 2), (1, 1)):
        inputs = synthesis_inputs(any_bundle, batch, noises)
        outputs = [item.run(inputs, ["image", "pixels"]) for item in (graph, other)]
        assert_same_images(*outputs)
        assert np.array_equal(graph.run(inputs, ["pixels"])[0], outputs[0][1])
    graph.close()


def test_every_graph_draws_the_golden_images(any_bundle: Bundle) -> None:
    graphs = OpenGraphs.open(any_bundle, BackendName.OPENVINO, OPTIONS)
    assert (graphs.synthesis.backend, graphs.synthesis.device) == (BackendName.OPENVINO, "cpu")
    assert graphs.synthesis.memory() is None
    figures = verify_golden(any_bundle, graphs, (1, 3))
    assert all_passed(figures)
    assert {item.graph for item in figures} >= {"mapping", "synthesis"}
    graphs.close()


def test_baked_styles_and_noise(tmp_path: Path) -> None:
    bundle = export(tiny_checkpoint(), tmp_path / "bundle", noise="const", bake=["7*0.5@0-2"])
    assert all_passed(verify_golden(bundle, OpenGraphs.open(bundle, BackendName.OPENVINO, OPTIONS), (1, 2)))


def test_float16_graphs_are_computed_in_float32(half_bundle: Bundle) -> None:
    graphs = OpenGraphs.open(half_bundle, BackendName.OPENVINO, OPTIONS, "fp16")
    assert all_passed(verify_golden(half_bundle, graphs, (1, 3)))


def test_results_are_the_callers_own(tiny_bundle: Bundle) -> None:
    graph, _ = runners(tiny_bundle)
    inputs = synthesis_inputs(tiny_bundle, 2, 2)
    first = graph.run(inputs, ["image"])[0]
    kept = first.copy()
    graph.run(synthesis_inputs(tiny_bundle, 2, 1), ["image"])
    assert np.array_equal(first, kept)
    first[:] = 0
    assert np.array_equal(graph.run(inputs, ["image"])[0], kept)


def test_arrays_that_nobody_may_write_into_and_views(tiny_bundle: Bundle) -> None:
    graph, other = runners(tiny_bundle)
    inputs = synthesis_inputs(tiny_bundle, 3, 1)
    inputs["styles"] = np.repeat(inputs["styles"], 2, axis=0)[::2]
    for array in inputs.values():
        array.setflags(write=False)
    assert_same_images(graph.run(inputs, ["image", "pixels"]), other.run(inputs, ["image", "pixels"]))


def test_threads_draw_at_once_and_get_their_own(tiny_bundle: Bundle) -> None:
    graph, other = runners(tiny_bundle)
    inputs = [synthesis_inputs(tiny_bundle, 1 + index % 3, 1) for index in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda item: graph.run(item, ["image", "pixels"]), inputs))
    for item, result in zip(inputs, found, strict=True):
        assert_same_images(result, other.run(item, ["image", "pixels"]))


def test_settings() -> None:
    told = openvino.settings(RunOptions(threads=3), "fp32")
    assert told == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 3}
    assert "INFERENCE_NUM_THREADS" not in openvino.settings(RunOptions(), "fp32")
    assert openvino.settings(RunOptions(), "fp16")["INFERENCE_PRECISION_HINT"] == "f32"
    assert openvino.settings(RunOptions(), "bf16")["INFERENCE_PRECISION_HINT"] == "bf16"


def test_threads_are_bounded(tiny_bundle: Bundle) -> None:
    core = openvino.find_core()
    compiled = openvino._compile(core, tiny_bundle.graph_path("synthesis"), openvino.settings(OPTIONS, "fp32"))
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert openvino.computed_precision(compiled) == "f32"


def test_auto_takes_it_where_onnxruntime_is_missing(tiny_bundle: Bundle, without_onnxruntime: None) -> None:
    with Generator.load(tiny_bundle) as generator:
        assert generator.backend is BackendName.OPENVINO
        assert generator.attempts[-1].way == WAY
        assert generator.generate([1, 2]).shape == (2, 16, 16, 3)


def test_auto_prefers_onnxruntime(tiny_bundle: Bundle) -> None:
    with Generator.load(tiny_bundle) as generator:
        assert generator.backend is BackendName.ONNXRUNTIME
    assert [way.refused for way in examine_ways(tiny_bundle, RunOptions()) if way.way == WAY] == [None]


def test_what_is_there_is_told() -> None:
    found = {item.way: item.found for item in examine_ways(None, RunOptions())}[WAY]
    assert re.fullmatch(r"OpenVINO 20\d\d\.\d+\.\d+ on \S+, with(out)? bfloat16", found)


def test_a_missing_package_names_its_extra(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"openvino is not.*pip install 'stylegan-edge\[openvino\]'"):
        Generator.load(tiny_bundle, "openvino")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match=r"stylegan-edge\[cpu\].*stylegan-edge\[openvino\]"):
        Generator.load(tiny_bundle)


def test_a_broken_package_is_one_line(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", type(sys)("openvino"))
    with pytest.raises(BackendUnavailableError, match=r"OpenVINO can't be imported .*'stylegan-edge\[openvino\]'"):
        Generator.load(tiny_bundle, "openvino")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[: len(data) // 2], "OpenVINO can't load the graph ("),
        (lambda data: b"rubbish" * 9, "OpenVINO can't load the graph ("),
        (lambda data: b"", "it has no outputs"),
        (lambda data: data.replace(b"Conv", b"Comv"), "operations: Comv"),
        (lambda data: data.replace(b"Conv", b"Con\xff"), "can't decode byte 0xff"),
    ],
    ids=["cut", "rubbish", "empty", "unknown operation", "no UTF-8"],
)
def test_a_damaged_graph_is_one_line(
    tiny_bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Any, told: str
) -> None:
    path = tmp_path / "synthesis.onnx"
    path.write_bytes(change(tiny_bundle.graph_path("synthesis").read_bytes()))
    with pytest.raises(BundleError, match=re.escape(told)) as caught:
        openvino.OpenVinoGraph(path, OPTIONS)
    assert "\n" not in str(caught.value)
    assert "Exception from" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_inputs_that_do_not_fit_are_one_line(tiny_bundle: Bundle) -> None:
    graph, _ = runners(tiny_bundle)
    inputs = synthesis_inputs(tiny_bundle, 1, 1)
    with pytest.raises(BackendUnavailableError, match=r"can't run the graph \(Port for tensor name nope was not found"):
        graph.run(inputs | {"nope": inputs["styles"]}, ["image"])
    with pytest.raises(BackendUnavailableError, match=r"\(shape=\[\?,6,9\]\) and the tensor"):
        graph.run(inputs | {"styles": inputs["styles"][:, :2]}, ["image"])
    assert graph.run(inputs, ["image"])[0].shape == (1, 3, 16, 16)


def test_the_command_line(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--backend", "openvino", "--threads", "1"]
    assert run(["verify", str(tiny_bundle.path), *chosen]) == 0
    assert "fp32 with openvino on cpu: the images are the right ones." in capsys.readouterr().out
    assert run(["generate", str(tiny_bundle.path), "--seeds", "1-3", "-o", str(tmp_path / "out"), *chosen]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert run(["doctor", str(tiny_bundle.path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out.partition("images)\n")[2])
    assert document["backends"][-1]["backend"] == "openvino"
    assert document["backends"][-1]["refused"] is None


def test_bench_measures_it(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--runs", "3", "--seconds", "2", "--threads", "1", "--no-memory"]
    few += ["--json", "--backend", "onnxruntime,openvino"]
    assert run(["bench", str(tiny_bundle.path), *few]) == 0
    document = json.loads(capsys.readouterr().out)
    line = next(item for item in document["lines"] if item["contestant"] == WAY)
    assert line["standing"] == "measured"
    assert line["parity"]["finite"] is True


def test_bfloat16_is_of_openvino_alone(tiny_bundle: Bundle) -> None:
    assert precisions_on(tiny_bundle, BackendName.OPENVINO) == ["fp32", "bf16"]
    assert precisions_on(tiny_bundle, BackendName.AUTO) == ["fp32", "bf16"]
    assert precisions_on(tiny_bundle, BackendName.ONNXRUNTIME) == tiny_bundle.precisions == ["fp32"]
    with pytest.raises(BundleError, match=r"has no graph 'synthesis\.bf16', only"):
        Generator.load(tiny_bundle, "onnxruntime", "bf16")
    labels = [str(item.label) for item in own_entrants(tiny_bundle, (), ["fp32", "bf16"], OPTIONS)]
    assert [label for label in labels if "bf16" in label] == [f"{WAY}, bf16"]
    assert f"{WAY}, fp32" in labels
    with pytest.raises(InputError, match=r"precision 'bf16' is not in .*, expected fp32;"):
        own_entrants(tiny_bundle, [BackendName.ONNXRUNTIME], ["bf16"], OPTIONS)


@pytest.mark.skipif(openvino.has_bf16(openvino.find_core()), reason="this CPU has bfloat16")
def test_without_the_instructions_bfloat16_is_refused(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendUnavailableError, match=r"this CPU, .+, has no bfloat16 instructions"):
        Generator.load(tiny_bundle, "openvino", "bf16")
    for backend in ("openvino", "auto"):
        assert run(["verify", str(tiny_bundle.path), "--precision", "bf16", "--backend", backend]) == 2
        told = capsys.readouterr().err
        assert re.fullmatch(r"Error: this CPU, .+, has no bfloat16 instructions.+--precision fp32 .+\n", told)
    # Where OpenVINO claims the instructions and computes float32 all the same, as it does here:
    monkeypatch.setattr(openvino, "has_bf16", lambda _: True)
    with pytest.raises(BackendUnavailableError, match="OpenVINO computes it in f32, expected bf16"):
        Generator.load(tiny_bundle, "openvino", "bf16")


def test_bfloat16_computes_the_graph_of_float32(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a CPU made up: what OpenVINO is told, and that `verify` judges by the tolerance of bfloat16."""
    made_up = MadeUpBf16(monkeypatch)
    with Generator.load(tiny_bundle, precision="bf16") as generator:
        assert generator.backend is BackendName.OPENVINO
    assert made_up.told == [("mapping.onnx", "f32"), ("synthesis.onnx", "bf16")]
    assert run(["verify", str(tiny_bundle.path), "--backend", "openvino", "--precision", "bf16", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert {(item["graph"], item["precision"]) for item in figures} == {("synthesis", "bf16")}
    assert {(item["allowed_psnr"], item["allowed_levels"]) for item in figures} == {(40.0, 16)}


def test_a_bundle_that_holds_bfloat16_draws_with_its_own_graph(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _with_bfloat16(tiny_bundle, tmp_path)
    made_up = MadeUpBf16(monkeypatch)
    assert bundle.precisions == precisions_on(bundle, BackendName.OPENVINO) == ["fp32", "bf16"]
    assert graph_precision(bundle, "mapping", "bf16", BackendName.OPENVINO) == "fp32"
    Generator.load(bundle, "openvino", "bf16").close()
    assert made_up.told == [("mapping.onnx", "f32"), ("synthesis.bf16.onnx", "bf16")]


def _with_bfloat16(bundle: Bundle, folder: Path) -> Bundle:
    """A copy whose manifest lists float32's graph a second time, as that of bfloat16."""
    path = Path(shutil.copytree(bundle.path, folder / "bundle"))
    name = "synthesis.bf16.onnx"
    shutil.copy(path / "synthesis.onnx", path / name)
    old = bundle.manifest
    graph = replace(old.graphs["synthesis"], file=name, precision=BF16)
    manifest: Manifest = replace(
        old,
        graphs={**old.graphs, "synthesis.bf16": graph},
        files={**old.files, name: old.files["synthesis.onnx"]},
    )
    (path / "manifest.json").write_text(manifest.to_text())
    return Bundle(path)


def test_the_tolerance_of_bfloat16_lies_between() -> None:
    assert FLOAT16.psnr_min - 18 < BFLOAT16.psnr_min < FLOAT16.psnr_min
    assert FLOAT32.levels_max < FLOAT16.levels_max < BFLOAT16.levels_max <= 8 * FLOAT16.levels_max
    random = np.random.RandomState(0)
    image = random.uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    for scale, passed in ((0.01, True), (0.03, False)):  # a root mean square of 46 and of 36 dB below the range
        comparison = Comparison("synthesis", "made up", 2, BF16)
        comparison.add(image, image + (scale * random.randn(*image.shape)).astype(np.float32))
        assert comparison.figures().passed is passed
