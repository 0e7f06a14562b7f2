"""`verify --reference` in the picture's own terms: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from tests.cli.conftest import Refused
from tests.runtime.test_perceptual import network

WORST = [f"worst-fp32-{view}.png" for view in ("difference", "heat", "measured", "reference")]


def _verify(bundle: Bundle, *options: str) -> int:
    checked = ["verify", str(bundle.path), "--reference", "sound.safetensors", "--samples", "3", "--batch", "1,2"]
    return run([*checked, *options])


def test_the_worst_sample_is_named_measured_and_drawn(
    folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    model = network(folder / "distance.onnx", rank=4)
    assert _verify(tiny_bundle, "--lpips", str(model), "--pictures", "pictures") == 0
    text = capsys.readouterr().out
    for said in ("In the picture's own terms", "Worst fp32: seed ", "SSIM 1.0000000", "perceptual distance "):
        assert said in text
    assert f"stylegan-edge generate {tiny_bundle.path}" in text or f"stylegan-edge mix {tiny_bundle.path}" in text
    assert "3 samples from seed 0: psi -1 to 1.5, 2 of 5 mixing cuts (all with --samples 7)" in text
    assert "Pictures of the worst fp32 image: pictures/worst-fp32-*.png, difference x" in text
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == WORST
    reference = imageio.imread(folder / "pictures" / "worst-fp32-reference.png").astype(int)
    measured = imageio.imread(folder / "pictures" / "worst-fp32-measured.png").astype(int)
    assert np.abs(reference - measured).max() <= 1
    assert reference.std() > 10, "a picture of something"


def test_json_holds_all_of_it(folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    model = network(folder / "distance.onnx")
    assert _verify(tiny_bundle, "--json", "--lpips", str(model), "--pictures", "new") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["perceptual_network"] == str(model)
    (found,) = document["pictures"]
    assert (found["precision"], found["samples"], found["drawings"]) == ("fp32", 3, 9)
    assert found["levels"].keys() == {"max", "mean", "p50", "p90", "p99", "p99_9"}
    assert 0 <= found["perceptual_mean"] <= found["perceptual_max"] < 1e-6
    assert found["pictures"].keys() == {"gain", "heat_top"}
    assert found["worst"]["sample"].keys() >= {"seeds", "second", "cut", "psi", "cutoff", "noise", "label", "transform"}
    assert found["worst"]["drawing"].keys() == {"graph", "batch", "position"}
    assert found["worst"]["figures"]["levels"]["max"] == found["levels"]["max"]
    assert found["command"].startswith("stylegan-edge ")


def test_without_a_reference_there_are_no_pictures(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tiny_bundle.path), "--batch", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["pictures"], document["perceptual_network"]) == ([], None)


def test_pictures_that_exist_are_replaced_where_asked(folder: Path, tiny_bundle: Bundle) -> None:
    assert _verify(tiny_bundle, "--pictures", "pictures") == 0
    (folder / "pictures" / WORST[0]).write_bytes(b"mine")
    assert _verify(tiny_bundle, "--pictures", "pictures", "--force") == 0
    assert imageio.imread(folder / "pictures" / WORST[0]).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--lpips notes.txt", "--lpips is of a comparison with the checkpoint; add --reference CHECKPOINT"),
        ("--pictures new", "--pictures is of a comparison with the checkpoint; add --reference CHECKPOINT"),
        ("--reference sound.safetensors --lpips missing.onnx", "missing.onnx: no such file; expected an ONNX network"),
        ("--reference sound.safetensors --lpips notes.txt", "notes.txt: ONNX Runtime can't load the graph"),
        ("--reference sound.safetensors --lpips notes.txt --pictures new", "notes.txt: ONNX Runtime can't load"),
        ("--reference sound.safetensors --pictures notes.txt", "notes.txt: is a file, expected a folder"),
        ("--reference orig.safetensors --pictures new", "is not this bundle's checkpoint"),
    ],
)
def test_wrong_input(refused: Refused, options: str, message: str) -> None:
    """Nothing is left behind, no folder for pictures either."""
    assert message in refused(f"verify {{bundle}} {options}")


def test_pictures_that_exist_are_not_replaced(refused: Refused, folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / WORST[0]).write_bytes(b"mine")
    line = refused("verify {bundle} --reference sound.safetensors --pictures new")
    assert "worst-fp32-difference.png: exists already" in line
