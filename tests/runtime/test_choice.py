"""Which way graphs are executed: what `auto` tries, in which order, and what it says of the rest."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import pytest

from runtime import Bundle, Generator
from runtime.backends import BackendName, RunOptions, examine_ways
from runtime.backends.ways import WAYS
from runtime.errors import BackendUnavailableError, BundleError, MissingDependencyError
from stylegan_edge.options import BACKENDS
from tests.made_up_gpu.machine import Machine, add_engine

CPU = "ONNX Runtime on the CPU"
ENGINE = "TensorRT engine"


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that may be given engines."""
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def test_the_command_line_names_every_backend() -> None:
    assert tuple(item.value for item in BackendName) == BACKENDS


def test_without_a_gpu_auto_takes_the_cpu_and_says_why(tiny_bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "runtime")
    generator = Generator.load(tiny_bundle)
    assert (generator.backend, generator.device) == (BackendName.ONNXRUNTIME, "cpu")
    assert [item.way for item in generator.attempts] == [way.name for way in WAYS[:-1]]  # OpenVINO is after it
    assert [item.refused for item in generator.attempts if item.refused is None] == [None]
    assert all(item.refused for item in generator.attempts[:-1])
    assert f"{CPU}: taken" in caplog.text
    assert f"{ENGINE}: passed over: " in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_an_engine_that_fits_is_taken_first(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    with Generator.load(bundle) as generator:
        assert generator.backend is BackendName.TENSORRT
        assert [(item.way, item.refused) for item in generator.attempts] == [(ENGINE, None)]


def test_engines_that_are_passed_over_are_told_aloud(
    bundle: Bundle, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    add_engine(bundle, version="10.13.3")
    generator = Generator.load(bundle)
    assert generator.device == "cpu"
    assert "holds engines, but its graphs run in another way" in caplog.text
    assert "it is for TensorRT 10.13.3, this is 10.3.0" in caplog.text


def test_a_changed_plan_is_passed_over_aloud(
    bundle: Bundle, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    (add_engine(bundle) / "synthesis.plan").write_bytes(b"")
    assert Generator.load(bundle).device == "cpu"
    assert "has 0 bytes, expected" in caplog.text


def test_what_the_bundle_lacks_is_no_backends_fault(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"has no graph 'synthesis\.fp16', only"):
        Generator.load(bundle, precision="fp16")


def test_a_backend_asked_for_is_not_replaced(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_bindings", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stylegan-edge\[tensorrt\]'"):
        Generator.load(bundle, "tensorrt")
    with pytest.raises(BackendUnavailableError, match=r"tensorrt-rtx can't run here: TensorRT-RTX engine: .* \| ONNX"):
        Generator.load(bundle, "tensorrt-rtx")


def test_without_cuda_bindings_engines_are_passed_over(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(MissingDependencyError, match=r"cuda is not installed.*stylegan-edge\[jetson\]"):
        Generator.load(bundle, "tensorrt")


def test_every_way_is_examined_with_a_bundle_and_without(bundle: Bundle, machine: Machine) -> None:
    without = {item.way: item for item in examine_ways(None, RunOptions())}
    assert without[ENGINE].found == "TensorRT 10.3.0 on Made-up GPU, compute capability 8.7"
    assert without[CPU].refused is None
    empty = {item.way: item for item in examine_ways(bundle, RunOptions())}
    assert "no engine fits this device; build one" in str(empty[ENGINE].refused)
    add_engine(bundle)
    assert {item.way: item for item in examine_ways(bundle, RunOptions())}[ENGINE].refused is None
