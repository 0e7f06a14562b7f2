"""`stylegan-edge verify --per-layer`, as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from tests.broken import broken, rename_inputs


def test_it_names_the_layer_and_exits_with_1(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = rename_inputs({"noise_01": "noise_02", "noise_02": "noise_01"})
    folder = broken(tiny_bundle, tmp_path / "bundle", "synthesis", change).path
    assert run(["verify", str(folder), "--per-layer", "--batch", "1"]) == 1
    output = capsys.readouterr().out
    assert "FAILED synthesis fp32: the first layer out of tolerance is b8.conv0: error" in output
    assert "mapping fp32: every layer that was read is within its tolerance." in output
    assert "against stored values of the reference (one pass)" in output


def test_json_has_every_layer(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tiny_bundle.path), "--per-layer", "--batch", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [report["graph"] for report in document["layers"]] == ["mapping", "synthesis", "pipeline"]
    synthesis = document["layers"][1]
    assert synthesis["passed"]
    assert [layer["layer"] for layer in synthesis["layers"]][:3] == ["b4.conv1", "b4.torgb", "b8.conv0"]
    assert len(synthesis["growth"]) == len(synthesis["layers"])


def test_little_memory_is_enough(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(tiny_bundle.path), "--per-layer", "--batch", "1", "--json"]
    assert run([*arguments, "--layer-memory", "1"]) == 0
    assert {report["method"] for report in json.loads(capsys.readouterr().out)["layers"]} == {"one pass"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--layer-memory", "100"], "--layer-memory is of --per-layer; give that too"),
        (["--per-layer", "--layer-memory", "0"], "0 is not in the range"),
        (["--per-layer", "--reference", "missing.pkl"], "missing.pkl"),
    ],
)
def test_wrong_options_are_one_line(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(["verify", str(tiny_bundle.path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
