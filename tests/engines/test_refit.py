"""Fine-tuned weights put into an engine that is there, on a made-up GPU: proven by the bundle's own golden samples."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from exporter import export
from exporter.checkpoints import Checkpoint
from runtime import Bundle, Generator
from runtime.engine_record import EngineFlags, Profile
from runtime.engines import engine_folders, read_engine
from stylegan_edge.cli import run
from tests.made_up_gpu.machine import Machine, add_engine
from tests.tiny import tiny_checkpoint

REFITTABLE = EngineFlags(refittable=True)
BUILT = (Profile(1, 1, 2), Profile(4, 4, 4))


def fine_tuned() -> Checkpoint:
    """The tiny checkpoint after some more training."""
    checkpoint = tiny_checkpoint()
    random = np.random.RandomState(7)
    weights = {
        name: value + 0.05 * random.randn(*value.shape).astype(np.float32) if value.ndim > 1 else value
        for name, value in checkpoint.weights.items()
    }
    return dataclasses.replace(checkpoint, weights=weights)


@pytest.fixture(scope="module")
def tuned_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(fine_tuned(), tmp_path_factory.mktemp("tuned") / "tuned", pipeline=True)


@pytest.fixture
def donor(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The bundle whose engine is taken."""
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "donor"))


@pytest.fixture
def tuned(tuned_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The bundle whose weights are put in."""
    return Bundle(shutil.copytree(tuned_bundle.path, tmp_path / "tuned"))


@pytest.mark.parametrize(
    ("version", "stripped", "again"), [("10.3.0", False, False), ("10.14.1", False, True), ("10.3.0", True, True)]
)
def test_the_engine_draws_the_new_images(
    donor: Bundle,
    tuned: Bundle,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: str,
    stripped: bool,
    again: bool,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", machine.tensorrt(version))
    add_engine(donor, BUILT, version, flags=EngineFlags(refittable=True, strip_weights=stripped))
    expected = Generator.load(tuned, "onnxruntime").generate([1, 2, 3])
    assert run(["build", str(tuned.path), "--refit", str(donor.path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {item["graph"] for item in document["parity"]} == {"mapping", "synthesis", "pipeline"}
    assert document["flags"]["refittable"] is again
    assert read_engine(Path(document["engine"])).record.profiles == BUILT
    with Generator.load(tuned, "tensorrt") as generator:
        assert np.abs(generator.generate([1, 2, 3]).astype(int) - expected).max() <= 1


def refused(capsys: pytest.CaptureFixture[str], tuned: Bundle, *arguments: str, code: int = 2) -> str:
    """The one line that a refit ends with; nothing may be left in the bundle."""
    before = sorted(tuned.path.rglob("*"))
    assert run(["build", str(tuned.path), *arguments]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    after = sorted(tuned.path.rglob("*"))
    assert [path for path in after if path not in before] in ([], [tuned.path / "engines"])
    return output.err


def test_an_engine_that_is_not_refittable(
    donor: Bundle, tuned: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    add_engine(donor)
    line = refused(capsys, tuned, "--refit", str(donor.path))
    assert "no engine fits this device" in line
    assert "it was built without --refittable" in line
    assert "--refittable" in line.split("build one: ")[1].split("(")[0]


def test_another_specification(
    conditional_bundle: Bundle, tuned: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "have other specifications; expected bundles that differ in their weights alone" in refused(
        capsys, tuned, "--refit", str(conditional_bundle.path)
    )


def test_other_export_options(
    tiny_bundle: Bundle, tuned: Bundle, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = export(tiny_checkpoint(), tmp_path / "const", noise="const")
    assert "were exported with other options" in refused(capsys, tuned, "--refit", str(other.path))


def test_a_refit_that_draws_other_images_is_not_kept(
    donor: Bundle, tuned: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where TensorRT drops a bias of a refittable engine, which its release notes of 11.3 tell of."""
    add_engine(donor, flags=REFITTABLE)
    monkeypatch.setattr("engines.refit.refit_from_graph", lambda *_: None)
    line = refused(capsys, tuned, "--refit", str(donor.path), code=1)
    assert "the engine draws other images (mapping at batch 1: " in line
    assert engine_folders(tuned) == []


def test_a_tensorrt_that_can_not(
    donor: Bundle, tuned: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", machine.tensorrt("8.6.1"))
    line = refused(capsys, tuned, "--refit", str(donor.path))
    assert "TensorRT 8.6.1 has no --refit, TensorRT 10.0 and newer have it" in line


def test_options_of_a_build(tuned: Bundle, donor: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--batch does not go with --refit" in refused(capsys, tuned, "--refit", str(donor.path), "--batch", "4")


def test_a_refit_that_is_there_already(
    donor: Bundle, tuned: Bundle, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    add_engine(donor, flags=REFITTABLE)
    arguments = ["build", str(tuned.path), "--refit", str(donor.path)]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert "synthesis.plan" in shown
    assert "Parity" in shown
    assert "exists already" in refused(capsys, tuned, "--refit", str(donor.path))
    assert run([*arguments, "--force"]) == 0
