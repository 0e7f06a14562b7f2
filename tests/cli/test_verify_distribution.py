"""`stylegan-edge verify --distribution` as a user calls it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from exporter.checkpoints import write_safetensors
from runtime import Bundle
from stylegan_edge.cli import run
from tests.cli.conftest import Refused
from tests.runtime.distribution.models import brightness, flat_features, pair_distance
from tests.tiny import tiny_checkpoint

FIGURES = [f"{figure} of {what}" for what in ("w", "pixels") for figure in ("mean", "covariance", "Fréchet distance")]
FIGURES += ["path length in Z", "path length in W"]


def _verify(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = run(["verify", *map(str, arguments)])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out


def test_the_bundled_checkpoint_against_pytorch(
    avatars_bundle: Bundle, demo_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = _verify(
        capsys,
        *(avatars_bundle.path, "--reference", demo_checkpoint, "--samples", "1", "--batch", "1"),
        *("--distribution", "60", "--path-epsilon", "1e-2", "--json"),
    )
    document = json.loads(text)
    assert (code, document["passed"]) == (0, True)
    found = document["distribution"]
    assert found["reference"] == "PyTorch, avatars-64.pkl"
    assert (found["samples"], found["paths"], found["epsilon"]) == (60, 30, 0.01)
    assert (found["passed"], found["distance"]) == (True, "plain pixels")
    assert [(item["precision"], item["figure"]) for item in found["figures"]] == [
        (precision, figure) for precision in ("fp32", "fp16") for figure in FIGURES
    ]
    assert all(item["passed"] is True for item in found["figures"])
    assert all(0 <= item["difference"] <= item["sampling_error"] for item in found["figures"])


def test_without_a_checkpoint_float32_is_the_reference(
    avatars_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph that is the reference is not judged by itself; float16 is, but for steps below its rounding."""
    code, text = _verify(
        capsys, avatars_bundle.path, "--batch", "1", "--distribution", "40", "--backend", "onnxruntime"
    )
    assert code == 0
    assert "Not judged: all of fp32: the reference is this very graph; --reference CHECKPOINT" in text
    assert "path length in W of fp16" in text
    assert "of the engine's may be rounding: a larger --path-epsilon has less of it" in text
    assert "40 samples and 20 paths of epsilon 0.0001 from seed 0, by plain pixels, against fp32 with" in text
    assert "mean of pixels fp16" in text


def test_networks_of_the_user(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_safetensors(tiny_checkpoint(), tmp_path / "tiny.safetensors")
    attributes = f"{brightness(tmp_path / 'bright.onnx', -0.40)},{brightness(tmp_path / 'light.onnx', -0.41)}"
    for features in (flat_features(tmp_path / "flat.onnx"), pair_distance(tmp_path / "pair.onnx")):
        code, text = _verify(
            capsys,
            *(tiny_bundle.path, "--reference", "tiny.safetensors", "--batch", "2", "--samples", "2", "--json"),
            *("--distribution", "100", "--path-epsilon", "1e-3", "--features", features, "--attributes", attributes),
        )
        found = json.loads(text)["distribution"]
        assert code == 0
        assert features.name in found["distance"]
        assert [Path(name).name for name in found["attributes"]] == ["bright.onnx", "light.onnx"]
        assert [item["figure"] for item in found["figures"]] == [*FIGURES, "separability in Z", "separability in W"]
        assert [item["figure"] for item in found["figures"] if not item["passed"]] == [], found["figures"]


def test_another_distribution_exits_with_one(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tiny_checkpoint()
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    weights["mapping.fc1.bias"] += np.float32(30)
    write_safetensors(dataclasses.replace(checkpoint, weights=weights), tmp_path / "other.safetensors")
    arguments = (tiny_bundle.path, "--reference", tmp_path / "other.safetensors", "--samples", "1", "--batch", "1")
    code, text = _verify(capsys, *arguments, "--distribution", "200")
    assert code == 1
    assert "FAILED mean of w, fp32: off by" in text
    assert "the worst of 9" in text
    assert "FAILED: the images differ; FAILED: their distribution is another." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--distribution 5", "5 is not in the range 20<=x<=1000000"),
        ("--distribution 20 --path-epsilon 0", "0.0 is not in the range"),
        ("--distribution 20 --path-epsilon nan", "nan is not a number"),
        ("--features notes.txt", "are of --distribution; give that too"),
        ("--path-epsilon 1e-3", "are of --distribution; give that too"),
        ("--distribution 20 --features none.onnx", "none.onnx: no such file; expected an ONNX model of images"),
        ("--distribution 20 --features notes.txt", "ONNX Runtime can't load the graph"),
        ("--distribution 20 --attributes a.onnx,,b.onnx", "has an empty name, expected like a.onnx,b.onnx"),
        ("--distribution 20 --attributes none.onnx", "none.onnx: no such file"),
        ("--distribution 20 --reference orig.safetensors", "orig.safetensors is not this bundle's checkpoint"),
    ],
)
def test_wrong_options_are_refused(refused: Refused, arguments: str, message: str) -> None:
    assert message in refused(f"verify {{bundle}} {arguments}")
