"""`benchmarks.gpu` from end to end, on the made-up GPU and PyTorch on the CPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import gpu, gpu_contestants, gpu_networks
from exporter.checkpoints import write_safetensors
from runtime import Bundle
from runtime.bench import Inputs
from runtime.device import Device
from runtime.engines import Engine, read_engine
from runtime.errors import EngineBuildError
from runtime.parity import to_pixels
from runtime.tensorrt.versions import Library
from tests.made_up_gpu.machine import Machine, add_engine
from tests.tiny import tiny_checkpoint

NAME = "avatars-64"
FAST = ["--batches", "1,3", "--runs", "6", "--seconds", "1", "--torch-device", "cpu", "--skip", "torch.compile"]


@pytest.fixture
def bundles(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A folder as `--prepare` leaves it, with one network."""
    shutil.copytree(tiny_bundle.path, tmp_path / "bundles" / NAME)
    write_safetensors(tiny_checkpoint(), tmp_path / "bundles" / f"{NAME}.safetensors")
    return tmp_path / "bundles"


@pytest.fixture
def builds(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds succeed, on the made-up GPU."""

    def build(
        bundle: Bundle, library: Library, device: Device, options: Any, precision: str, graphs: list[str]
    ) -> tuple[Engine, None]:
        return read_engine(add_engine(bundle, options.profiles, library.version, graphs)), None

    monkeypatch.setattr(gpu_contestants, "build_engine", build)


def measure(bundles: Path, *options: str) -> dict[str, Any]:
    """Run it, and read the document."""
    out = bundles.parent / "results.json"
    done = CliRunner().invoke(gpu.main, ["--bundles", str(bundles), "--out", str(out), *FAST, *options])
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(out.read_text())
    return document


def lines_of(document: dict[str, Any], contestant: str) -> list[dict[str, Any]]:
    (bundle,) = document["bundles"]
    return [line for line in bundle["lines"] if line["contestant"] == contestant]


def test_a_whole_run(bundles: Path, builds: None) -> None:
    document = measure(bundles)
    assert document["complete"]
    assert document["machine"]["gpu"]["name"] == "Made-up GPU"
    assert document["versions"]["torch"]
    assert document["bundles"][0]["resolution"] == 16
    measured = [line for line in document["bundles"][0]["lines"] if "error" not in line]
    for line in measured:
        assert (line["runs"], line["warm_up"]) == (6, gpu.WARM_UP)
        assert 0 < line["fastest_ms"] <= line["median_ms"] <= line["p95_ms"]
        assert line["images_per_s"] == pytest.approx(1e3 * line["batch"] / line["median_ms"])
        assert line["parity"]["finite"]
        assert line["parity"]["levels_max"] <= (1 if line["precision"] == "fp32" else 16)
    engines = lines_of(document, "TensorRT")
    ways = {(line["batch"], line["pixels"], line["cuda_graphs"]) for line in engines}
    assert ways == {(batch, place, on) for batch in (1, 3) for place in ("host", "gpu") for on in (True, False)}
    assert all(line["build_s"] >= 0 and line["memory"]["weights"] > 0 for line in engines)
    assert {line["batch"] for line in lines_of(document, "ONNX Runtime on the CPU")} == {1, 3}
    assert {(line["batch"], line["precision"]) for line in lines_of(document, "PyTorch eager")} == {
        (batch, precision) for batch in (1, 3) for precision in ("fp32", "fp16")
    }


def test_what_is_missing_is_a_line_with_the_reason(bundles: Path, builds: None) -> None:
    document = measure(bundles, "--skip", "eager fp16")
    (line,) = lines_of(document, "TensorRT-RTX")
    assert "tensorrt-rtx is not installed" in line["error"]
    (line,) = lines_of(document, "ONNX Runtime with CUDA")
    assert "expected CUDAExecutionProvider" in line["error"]
    assert {line["precision"] for line in lines_of(document, "PyTorch eager")} == {"fp32"}


def test_a_failed_build_ends_nothing(bundles: Path, builds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EngineBuildError("TensorRT can't build it")

    monkeypatch.setattr(gpu_contestants, "build_engine", refuse)
    document = measure(bundles)
    (line,) = lines_of(document, "TensorRT")
    assert line["error"] == "TensorRT can't build it"
    assert "images_per_s" in lines_of(document, "PyTorch eager")[0]


def test_a_failure_in_the_middle_leaves_no_speed(bundles: Path, builds: None, machine: Machine) -> None:
    class Failing(gpu.Race):
        def _take_turns(self, contestants: Any, lines: Any) -> Any:
            machine.fail("cuMemcpyHtoDAsync", 700)
            return super()._take_turns(contestants, lines)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "Race", Failing)
        document = measure(bundles)
    failed = [line for line in lines_of(document, "TensorRT") if "error" in line]
    assert [line["batch"] for line in failed] == [1, 3]
    assert all("CUDA_ERROR_ILLEGAL_ADDRESS" in line["error"] and "median_ms" not in line for line in failed)


def test_parity_is_of_the_inputs_that_are_timed(tiny_bundle: Bundle) -> None:
    inputs = Inputs.of(tiny_bundle, 5)
    image = inputs.tiles[:, 0]
    pixels = to_pixels(image)
    assert inputs.compare(image, pixels).levels_max == 0
    assert inputs.compare(np.roll(image, 1, axis=0), np.roll(pixels, 1, axis=0)).levels_max != 0
    assert inputs.compare(image + 0.1, pixels).max_abs == pytest.approx(0.1, rel=1e-4)


def test_prepare_writes_what_a_run_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {NAME: tiny_checkpoint(channels=(6,)), "stylegan2-256": tiny_checkpoint(channels=(6,), seed=2)}
    monkeypatch.setattr(gpu_networks, "make_checkpoint", made.__getitem__)
    arguments = ["--prepare", str(tmp_path / "new"), "--sizes", f"{NAME},stylegan2-256"]
    for said in ("MB", "is there"):
        done = CliRunner().invoke(gpu.main, arguments)
        assert done.exit_code == 0, done.output
        assert [line.split(": ")[0] for line in done.output.splitlines()] == [NAME, "stylegan2-256"]
        assert done.output.count(said) == 2
    assert gpu_networks.checkpoint_path(Bundle(tmp_path / "new" / NAME).path).is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give --prepare DIR, or --bundles DIR and --out FILE"),
        (["--bundles", "{}", "--out", "{}/o.json"], "holds none of"),
        (["--prepare", "{}", "--sizes", "stylegan9-8"], "'stylegan9-8' is unknown"),
        (["--bundles", "{}", "--out", "{}/o.json", "--batches", "0"], "a batch is 1 to 64"),
    ],
)
def test_wrong_usage(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(gpu.main, [item.format(tmp_path) for item in arguments])
    assert done.exit_code == 2
    assert told in done.output
