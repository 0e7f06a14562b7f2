"""Layers of an engine, read from one that is built again with them for outputs, on a made-up GPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runtime import Bundle
from runtime.engine_record import EngineFlags, Profile
from runtime.engines import engine_folders
from stylegan_edge.cli import run
from tests.broken import broken, rename_inputs
from tests.made_up_gpu.machine import Machine, add_engine

PROFILES = (Profile(1, 1, 4),)


@pytest.mark.parametrize("swapped", [False, True])
def test_layers_of_an_engine(
    tiny_bundle: Bundle, tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str], swapped: bool
) -> None:
    folder = tmp_path / "bundle"
    names = {"noise_03": "noise_04", "noise_04": "noise_03"} if swapped else {}
    bundle = broken(tiny_bundle, folder, "synthesis", rename_inputs(names))
    engine = add_engine(bundle, PROFILES, flags=EngineFlags(refittable=True))
    code = run(["verify", str(folder), "--backend", "tensorrt", "--per-layer", "--batch", "2", "--json"])
    document = json.loads(capsys.readouterr().out)
    reports = {report["graph"]: report for report in document["layers"]}
    assert {report["backend"] for report in reports.values()} == {"tensorrt"}
    assert reports["mapping"]["first"] is None
    assert reports["synthesis"]["first"] == ("b16.conv0" if swapped else None)
    assert code == int(swapped)
    assert engine_folders(bundle) == [engine]  # what was built to be read is gone


def test_without_an_engine_it_says_how_to_build_one(
    tiny_bundle: Bundle, tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    assert run(["verify", str(bundle.path), "--backend", "tensorrt", "--per-layer"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "stylegan-edge build" in error
