"""Int8 and float8: what is quantised, what is refused and why, and that nothing of the quantiser is left behind."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from exporter import export, load_checkpoint
from exporter.bundle_writer import PRECISIONS
from exporter.golden import MAX_IMAGES
from exporter.golden.labels import MAX_CLASSES
from exporter.quantize import CALIBRATION_SEED, check_float_layers, quantizable_layers, quantized_convolutions
from exporter.tensorrt_lint import lint_graph
from runtime import Bundle, Generator
from runtime.errors import InputError, ParityError
from runtime.graphs import OpenGraphs
from runtime.manifest import Manifest
from runtime.mixing import MAX_SOURCES
from runtime.parity import EIGHT_BITS, FLOAT8, TOLERANCES, all_passed
from runtime.records import digest_of
from runtime.spec import Architecture
from runtime.spec.bounds import MAX_LAYERS
from runtime.verify import verify_golden
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

AVATARS = Path(__file__).parents[2] / "examples" / "avatars-64.pkl"
BOTH = ("fp32", "int8", "fp8")
STORED = {"int8": onnx.TensorProto.INT8, "fp8": onnx.TensorProto.FLOAT8E4M3FN}
UP = "b64.conv0"
"""A layer that is a transposed convolution where graphs are made fast for a CPU."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(load_checkpoint(AVATARS), tmp_path_factory.mktemp("quantized") / "avatars", BOTH, pipeline=True)


@pytest.mark.parametrize("precision", BOTH[1:])
@pytest.mark.parametrize("name", ["synthesis", "pipeline"])
def test_a_graph_is_like_the_others(bundle: Bundle, name: str, precision: str) -> None:
    wide, narrow = bundle.graph(name), bundle.graph(name, precision)
    assert (narrow.inputs, narrow.outputs) == (wide.inputs, wide.outputs)
    model = onnx.load(bundle.path / narrow.file)
    opset = {"int8": 17, "fp8": 19}[precision]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", opset)]
    assert narrow.opset == opset
    assert (model.producer_name, model.doc_string, len(model.metadata_props)) == ("stylegan-edge", "", 0)
    names = [node.name for node in model.graph.node]
    assert names == [f"{index:03d}_{node.op_type}" for index, node in enumerate(model.graph.node)]
    used = {value for node in model.graph.node for value in node.input}
    assert {item.name for item in model.graph.initializer} <= used
    size = {key: info.size for key, info in bundle.manifest.files.items()}
    assert size[narrow.file] < 0.85 * size[wide.file]


@pytest.mark.parametrize("precision", BOTH[1:])
def test_plain_convolutions_alone_are_quantised(bundle: Bundle, precision: str) -> None:
    model = onnx.load(bundle.graph_path("synthesis", precision))
    stored = {item.name for item in model.graph.initializer if item.data_type == STORED[precision] and item.dims}
    weights = [item for item in stored if not item.endswith("zero_point")]
    assert {item.split("_weight")[0] for item in weights} == {f"b{side}_conv1" for side in (4, 8, 16, 32, 64)}
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["QuantizeLinear"] == {"int8": 2, "fp8": 1}[precision] * len(weights)
    assert counts["DequantizeLinear"] == counts["QuantizeLinear"] + len(weights)


def test_onnx_runtime_computes_with_integers(bundle: Bundle, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(bundle.graph_path("synthesis", "int8")), options)
    counts = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert counts["QLinearConv"] == 5


def test_tensorrt_reads_int8_from_8_6_on_and_float8_from_10(bundle: Bundle) -> None:
    assert lint_graph(bundle.graph_path("synthesis", "int8"), (8, 6)).findings == ()
    assert lint_graph(bundle.graph_path("synthesis", "fp8"), (10, 3)).findings == ()
    assert lint_graph(bundle.graph_path("synthesis", "fp8"), (8, 6)).refused


def test_parity_is_measured_and_kept(bundle: Bundle) -> None:
    figures = {(item.graph, item.precision): item for item in bundle.manifest.parity}
    assert list(TOLERANCES) == ["fp32", "fp16", "bf16", "int8", "fp8"]
    for precision, tolerance in (("int8", EIGHT_BITS), ("fp8", FLOAT8)):
        assert ("mapping", precision) not in figures
        for name in ("synthesis", "pipeline"):
            found = figures[name, precision]
            assert found.allowed_psnr == tolerance.psnr_min
            assert found.psnr is not None
            assert tolerance.psnr_min < found.psnr < 60


def test_it_is_drawn_verified_and_shown_by_name(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bundle.precisions == list(BOTH)
    wide, narrow = (Generator.load(bundle, precision=name).generate([1, 2]) for name in ("fp32", "int8"))
    assert 0 < np.abs(wide.astype(int) - narrow).mean() < 5
    assert run(["verify", str(bundle.path), "--batch", "1,3"]) == 0
    shown = capsys.readouterr().out
    assert "synthesis int8" in shown
    assert "synthesis fp8" in shown
    assert run(["generate", str(bundle.path), "--seeds", "1", "--precision", "int8", "-o", str(tmp_path / "o")]) == 0
    assert run(["inspect", str(bundle.path)]) == 0
    assert "int8" in capsys.readouterr().out
    options = ["--runs", "1", "--no-memory", "--backend", "onnxruntime", "--json"]
    assert run(["bench", str(bundle.path), *options]) == 0
    measured = {line["precision"] for line in json.loads(capsys.readouterr().out)["lines"] if line["timing"]}
    assert measured == set(BOTH)


NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "conditional, orig": (tiny_spec(Architecture.ORIG, c_dim=2), {}),
    "resnet, its short cuts": (tiny_spec(Architecture.RESNET), {"tune": "gpu"}),
    "cut in two": (tiny_spec(), {"split": 3}),
    "baked": (tiny_spec(), {"bake": ["7@0-1"]}),
    "mask, noise left out": (tiny_spec(), {"mask": "A:0-2,B:3-5", "noise": "none", "pipeline": True}),
    "StyleGAN, whose convolutions have biases": (tiny_stylegan1_spec(), {}),
    "StyleGAN3-t": (tiny_stylegan3_spec(), {}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network(name: str, tmp_path: Path) -> None:
    spec, options = NETWORKS[name]
    bundle = export(tiny_checkpoint(spec), tmp_path / "bundle", BOTH, **options)
    kinds = {key.partition(".")[0] for key in bundle.manifest.graphs} - {"mapping"}
    narrow = {f"{kind}.{precision}" for kind in kinds for precision in BOTH[1:]}
    assert set(bundle.manifest.graphs) == {"mapping"} | kinds | narrow
    for precision in BOTH[1:]:
        assert all_passed(verify_golden(bundle, OpenGraphs.open(bundle, precision=precision), (3,)))
        model = onnx.load(bundle.graph_path("synthesis", precision))
        operators = Counter(node.op_type for node in model.graph.node)
        assert operators["QuantizeLinear"] > 0
        assert not any(item.data_type == onnx.TensorProto.INT32 for item in model.graph.initializer), "a bias"
        rounded = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
        for node in model.graph.node:
            groups = next((item.i for item in node.attribute if item.name == "group"), 1)
            if node.op_type == "ConvTranspose" or (node.op_type == "Conv" and groups > 1):
                assert node.input[1] not in rounded


def test_nothing_of_the_quantiser_is_left_and_the_files_are_the_same_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = (logging.getLogger().handlers[:], logging.root.manager.disable)
    first = export(tiny_checkpoint(), tmp_path / "bundle", BOTH)
    assert (logging.getLogger().handlers, logging.root.manager.disable) == before
    assert capfd.readouterr() == ("", "")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["bundle", "temporary"]
    assert list(temporary.iterdir()) == []
    second = export(tiny_checkpoint(), tmp_path / "again", BOTH)
    assert first.manifest.to_text() == second.manifest.to_text()


def test_calibration_knows_no_golden_image() -> None:
    assert MAX_IMAGES * max(MAX_LAYERS, MAX_SOURCES) + MAX_CLASSES < CALIBRATION_SEED


LOSSY = tiny_stylegan3_spec(radial=True)
"""A StyleGAN3-r, one of whose layers has values far larger than the others it is rounded with."""


def test_a_network_that_loses_too_much_is_refused_with_its_worst_layer(tmp_path: Path) -> None:
    message = r"graph in int8 does not draw .*\(PSNR 29\.\d dB, expected 35\); L3_16_8 costs 4\.\d dB, .*"
    with pytest.raises(ParityError, match=message + r"--float-layers L3_16_8,L1_24_12; the bundle was not") as caught:
        export(tiny_checkpoint(LOSSY), tmp_path / "bundle", ("fp32", "int8"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_layer_named_may_stay_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    bundle = export(tiny_checkpoint(LOSSY), path, ("fp32", "int8"), float_layers=["L3_16_8"])
    assert bundle.manifest.options.float_layers == ("L3_16_8",)
    model = onnx.load(bundle.graph_path("synthesis", "int8"))
    assert next(item for item in model.graph.initializer if item.name == "L3_16_8_weight").data_type == 1


def test_a_manifest_without_the_option_still_reads(tiny_bundle: Bundle) -> None:
    content = json.loads((tiny_bundle.path / "manifest.json").read_text())
    del content["digest"], content["options"]["float_layers"]
    text = json.dumps({**content, "digest": digest_of(content)})
    assert Manifest.from_text(text, "manifest").options.float_layers == ()


def test_layers_are_named_as_in_the_checkpoint() -> None:
    assert quantizable_layers(tiny_checkpoint()) == ("b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1")
    assert "b8.skip" in quantizable_layers(tiny_checkpoint(tiny_spec(Architecture.RESNET)))
    assert quantizable_layers(tiny_checkpoint(LOSSY)) == ("L0_24_12", "L1_24_12", "L2_24_8", "L3_16_8")


def test_float_layers_are_put_in_the_networks_order() -> None:
    assert check_float_layers(tiny_checkpoint(), ["b8.conv1", "b4.conv1"], BOTH) == ("b4.conv1", "b8.conv1")


ALL = quantizable_layers(tiny_checkpoint())
WRONG = {
    "float layer 'b8.conv2' is unknown, expected one of b4.conv1, b8.conv0, b8.conv1,": ("b8.conv2", BOTH),
    "float layer 'b16.torgb' is unknown, expected one of b4.conv1": ("b16.torgb", BOTH),
    "float layer '' is unknown": ("", BOTH),
    "no precision that has others: add int8 or fp8": ("b8.conv1", ("fp32", "fp16")),
    "nothing would be quantised: name fewer float layers": (",".join(ALL), BOTH),
    "no convolution is left to quantise": ("b4.conv1,b8.conv1,b16.conv1", ("fp32", "int8")),
}
"""The message, and what of `--float-layers` and `--precision` leads to it."""


@pytest.mark.parametrize("message", WRONG)
def test_float_layers_that_are_none(message: str, tmp_path: Path) -> None:
    names, precisions = WRONG[message]
    with pytest.raises(InputError) as caught:
        export(tiny_checkpoint(), tmp_path / "bundle", precisions, float_layers=names.split(","))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_float_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(AVATARS), "-o", str(tmp_path / "bundle"), "--precision", "fp32,int8"]
    assert run([*command, "--float-layers", "b64.conv3"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"float layer 'b64.conv3' is unknown, expected one of b4.conv1, b8.conv0, {'b8.conv1'}" in error
    assert UP in error


def test_parts_of_other_layers_are_not_taken_for_a_layers() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[n, 1, 4, 4] x) => (float[n, 1, 4, 4] y)
        <float[1, 1, 1, 1] b16_conv1_weight = {1}, float[1, 1, 1, 1] b16_torgb_weight = {1}> {
            [first] a = Conv (x, b16_conv1_weight)
            [last] y = Conv (a, b16_torgb_weight)
        }""")
    found = quantized_convolutions(model, ["b1.conv1", "b16.conv1"])
    assert [(item.node, item.layer) for item in found] == [("first", "b16.conv1")]


def test_every_precision_has_a_tolerance() -> None:
    assert set(PRECISIONS) <= set(TOLERANCES)
