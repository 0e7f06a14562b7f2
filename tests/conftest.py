"""What many tests share: bundles, exported once, and a made-up GPU."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from exporter.checkpoints.layout import STORED_TRANSFORM
from runtime import Bundle
from runtime.transforms import make_transform
from tests.made_up_gpu.machine import Machine, switched_on, unavailable
from tests.tiny import tiny_checkpoint, tiny_stylegan1_spec, tiny_stylegan3_spec


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before the first fixture. The checks with a GPU run without PyTorch, so it is not loaded here."""
    if "torch" in sys.modules:
        _keep_operators()


@cache
def _keep_operators() -> None:
    """Let torch's exporter read the sources of its operators once, not for each graph: a third of a tiny export's time.

    They are the same for all graphs of an opset. Where this PyTorch keeps them elsewhere, tests just take longer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from torch.onnx._internal.exporter._registration import ONNXRegistry
        except ImportError:
            return
    if hasattr(ONNXRegistry, "from_torchlib"):
        ONNXRegistry.from_torchlib = staticmethod(lru_cache(ONNXRegistry.from_torchlib))  # type: ignore[method-assign]


def export(*arguments: Any, **options: Any) -> Bundle:
    """`exporter.export`, imported when a test wants it: the checks with a GPU run without PyTorch."""
    from exporter import export as export_

    return export_(*arguments, **options)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px unconditional generator with a pipeline graph. Copy it before changing anything."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("tiny") / "bundle", pipeline=True)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of `tiny_bundle`, for the command line."""
    from exporter.checkpoints import write_safetensors

    path = tmp_path_factory.mktemp("file") / "tiny.safetensors"
    write_safetensors(tiny_checkpoint(), path)
    return path


@pytest.fixture(scope="session")
def half_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same generator in float32 and float16."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("half") / "bundle", precisions=("fp32", "fp16"))


@pytest.fixture(scope="session")
def avatars_bundle(tmp_path_factory: pytest.TempPathFactory, demo_checkpoint: Path) -> Bundle:
    """The checkpoint that ships with the project, in float32 and float16, with pipeline graphs."""
    from exporter import load_checkpoint

    folder = tmp_path_factory.mktemp("avatars") / "bundle"
    return export(load_checkpoint(demo_checkpoint), folder, precisions=("fp32", "fp16"), pipeline=True)


@pytest.fixture(scope="session")
def conditional_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px generator of three classes."""
    return export(tiny_checkpoint(c_dim=3), tmp_path_factory.mktemp("conditional") / "bundle")


@pytest.fixture(scope="session")
def stylegan1_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px StyleGAN whose own code truncates the first 2 of 6 rows."""
    return export(tiny_checkpoint(tiny_stylegan1_spec()), tmp_path_factory.mktemp("stylegan1") / "bundle")


@pytest.fixture(scope="session")
def stylegan3_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px StyleGAN3-r, which stores a transform of its own: a quarter turn."""
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=True))
    weights = {**checkpoint.weights, STORED_TRANSFORM: make_transform(90.0)}
    return export(dataclasses.replace(checkpoint, weights=weights), tmp_path_factory.mktemp("stylegan3") / "bundle")


@pytest.fixture(scope="session")
def stylegan3_t_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px StyleGAN3-t."""
    return export(tiny_checkpoint(tiny_stylegan3_spec()), tmp_path_factory.mktemp("stylegan3-t") / "bundle")


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    """The checkpoint that ships with the project."""
    return Path(__file__).parents[1] / "examples" / "avatars-64.pkl"


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the made-up driver is built, once."""
    return tmp_path_factory.mktemp("driver")


@pytest.fixture
def machine(driver_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A made-up GPU and TensorRT 10.3. At the end of the test nothing may be left on the GPU."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with switched_on(driver_folder) as found:
        monkeypatch.setitem(sys.modules, "tensorrt", found.tensorrt())
        monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)  # it would load what is real
        yield found
        assert found.live == 0, "memory, streams or recordings were left on the GPU"
        assert found.current_gpus == 0
