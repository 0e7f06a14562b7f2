"""`inspect --tensorrt`: what it prints, its exit codes, and wrong input."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import onnx
import pytest

from runtime import Bundle
from stylegan_edge.cli import EXIT_CHECK_FAILED, run
from tests.cli.conftest import Refused
from tests.cli.test_wrong_bundles import rewrite
from tests.exporter.tensorrt_lint.models import CASES, Case

WRONG = {
    "inspect {bundle} --tensorrt banana": "'banana' is not a version of TensorRT like 8.6 or 10.3",
    "inspect {bundle} --tensorrt 10.x": "'10.x' is not a version of TensorRT like 8.6 or 10.3",
    "inspect {bundle} --tensorrt -1": "'-1' is not a version of TensorRT like 8.6 or 10.3",
    "inspect {bundle} --tensorrt 8.5": "TensorRT 8.5 is not supported, expected 8.6 to 11",
    "inspect {bundle} --tensorrt 8": "TensorRT 8.0 is not supported, expected 8.6 to 11",
    "inspect {bundle} --tensorrt 12.0": "TensorRT 12.0 is not supported, expected 8.6 to 11",
    "inspect {bundle} --tensorrt": "Option '--tensorrt' requires an argument",
    "inspect sound.safetensors --tensorrt 10.3": "sound.safetensors: is a file, expected a bundle's folder; make",
    "inspect missing --tensorrt 10.3": "missing: no such folder; expected a bundle",
}


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle.path, tmp_path / "bundle")


def replace_graph(bundle: Path, file: str, data: bytes) -> None:
    """Put another graph in, and its digest into the manifest."""
    (bundle / file).write_bytes(data)
    info = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rewrite(bundle, lambda content: content["files"].update({file: info}))


@pytest.mark.parametrize("command", WRONG)
def test_wrong_input_is_named(command: str, refused: Refused) -> None:
    assert WRONG[command] in refused(command)


def test_a_missing_onnx_is_named(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = refused("inspect {bundle} --tensorrt 10.3")
    assert "onnx is not installed, and this command needs it: pip install 'stylegan-edge[export]'" in message


@pytest.mark.parametrize("version", ["8.6", "10.3", "10.16.1.11", "11.4"])
def test_a_bundle_that_tensorrt_takes(version: str, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tiny_bundle.path), "--tensorrt", version]) == 0
    counts = ", ".join(f"{graph.file} ({graph.nodes} nodes)" for graph in tiny_bundle.manifest.graphs.values())
    assert capsys.readouterr().out == f"TensorRT {version} would take every node of {counts}.\n"


def test_refused_nodes_are_named_a_line_each(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace_graph(bundle, "mapping.onnx", CASES["AffineGrid"].model().SerializeToString())
    assert run(["inspect", str(bundle), "--tensorrt", "10.3"]) == EXIT_CHECK_FAILED
    first, taken, failed = capsys.readouterr().out.splitlines()
    assert first == (
        "refused: mapping.onnx: bad (AffineGrid): no TensorRT up to 10.3 has this operator; "
        "write it in other operators, or bring a plugin"
    )
    assert taken.startswith("TensorRT 10.3 would take every node of pipeline.onnx (")
    assert failed == "FAILED: TensorRT 10.3 would refuse mapping.onnx, for 1 reason."


def test_a_warning_is_shown_and_fails_nothing(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace_graph(bundle, "mapping.onnx", CASES["RandomUniformLike"].model().SerializeToString())
    assert run(["inspect", str(bundle), "--tensorrt", "10.3"]) == 0
    first, taken = capsys.readouterr().out.splitlines()
    assert first.startswith("warning: mapping.onnx: number 0 (RandomUniformLike): TensorRT 10.3 ignores its seed")
    assert "mapping.onnx (2 nodes)" in taken


def test_json_says_the_same(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace_graph(bundle, "mapping.onnx", CASES["AffineGrid"].model().SerializeToString())
    assert run(["inspect", str(bundle), "--tensorrt", "10.3", "--json"]) == EXIT_CHECK_FAILED
    document = json.loads(capsys.readouterr().out)
    assert (document["bundle"], document["tensorrt"], document["passed"]) == (str(bundle), "10.3", False)
    graphs = {graph["file"]: graph for graph in document["graphs"]}
    assert graphs.keys() == {"mapping.onnx", "synthesis.onnx", "pipeline.onnx"}
    assert graphs["synthesis.onnx"]["findings"] == []
    (found,) = graphs["mapping.onnx"]["findings"]
    assert (found["node"], found["operator"], found["severity"]) == ("bad", "AffineGrid", "refused")


def test_a_name_that_holds_control_characters_stays_one_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(Case("(float[batch] x) => (float[n] y) { y = Unique(x) }").model())
    model.graph.node[0].name = "\x1b[2Jgone\nTensorRT would take every node"
    replace_graph(bundle, "mapping.onnx", model.SerializeToString())
    assert run(["inspect", str(bundle), "--tensorrt", "10.3"]) == EXIT_CHECK_FAILED
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_a_file_that_is_no_graph_is_told(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace_graph(bundle, "mapping.onnx", b"mine")
    assert run(["inspect", str(bundle), "--tensorrt", "10.3"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "mapping.onnx: is no ONNX graph" in shown.err
