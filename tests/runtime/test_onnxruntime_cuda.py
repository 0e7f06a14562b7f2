"""ONNX Runtime's CUDA provider: refused where it can't be had, never replaced by the CPU in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from runtime import Bundle, Generator, device
from runtime.backends import BackendName, RunOptions
from runtime.backends import onnxruntime_cuda as cuda
from runtime.backends.onnxruntime import session_options
from runtime.errors import BackendUnavailableError
from tests.runtime.test_device import use_driver

HAS_CUDA = cuda.CUDA in onnxruntime.get_available_providers()


@pytest.fixture
def graph(tiny_bundle: Bundle) -> Path:
    return tiny_bundle.graph_path("synthesis", "fp32")


def pretend_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package say that it has the provider."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.CUDA, "CPUExecutionProvider"])


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has the provider")
def test_a_package_without_the_provider_is_refused(graph: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"has .*CPUExecution.*expected CUDA.*stylegan-edge\[cuda\]"):
        cuda.OnnxRuntimeCudaGraph(graph, RunOptions())


def test_no_driver_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_provider(monkeypatch)
    monkeypatch.setattr(device, "DRIVER", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(BackendUnavailableError, match="no NVIDIA GPU was found"):
        cuda.OnnxRuntimeCudaGraph(graph, RunOptions())


def test_a_gpu_that_is_not_there_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_provider(monkeypatch)
    use_driver(monkeypatch, tmp_path)
    with pytest.raises(BackendUnavailableError, match="number 3 was asked for"):
        cuda.OnnxRuntimeCudaGraph(graph, RunOptions(gpu=3))


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has the provider")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_on_the_cpu_instead_is_refused(
    graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime makes one where a provider's own library does not load."""
    pretend_provider(monkeypatch)
    use_driver(monkeypatch, tmp_path)
    with pytest.raises(BackendUnavailableError, match=r"session on CPUExec.*, expected CUDA.*\[cuda,cudnn\]"):
        cuda.OnnxRuntimeCudaGraph(graph, RunOptions())
    assert capsys.readouterr().out == ""


def test_a_session_that_fails_is_refused_and_not_made_on_the_cpu(
    graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory\nand more")

    pretend_provider(monkeypatch)
    use_driver(monkeypatch, tmp_path)
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(BackendUnavailableError, match=r"CUDAExecutionProvider can't be used: .*out of memory\)$"):
        cuda.OnnxRuntimeCudaGraph(graph, RunOptions())
    assert capsys.readouterr().out == ""  # its own fallback would have told of itself here


def test_float32_means_float32() -> None:
    options = cuda.provider_options(RunOptions(gpu=2))
    assert options["use_tf32"] == "0"
    assert options["device_id"] == "2"


@pytest.fixture
def gpu() -> None:
    if not HAS_CUDA:
        pytest.skip("this ONNX Runtime has no CUDA provider: pip install 'stylegan-edge[cuda]'")
    try:
        device.read_device()
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_images_are_those_of_the_cpu(tiny_bundle: Bundle) -> None:
    from runtime.backends.onnxruntime import OnnxRuntimeGraph
    from runtime.parity import FLOAT32

    path = tiny_bundle.graph_path("synthesis", "fp32")
    with Generator.load(tiny_bundle, backend=BackendName.ONNXRUNTIME) as generator:
        assert generator.device == "cuda"
        styles = generator.styles(generator.map(generator.latents([1, 2, 3])), psi=0.7)
        found = generator.synthesize(styles, batch=2)
    inputs = {"styles": styles}
    inputs |= {f"noise_{index:02}": item[None, None] for index, item in enumerate(tiny_bundle.stored_noise)}
    expected = OnnxRuntimeGraph(path, RunOptions()).run(inputs, ["image"])[0]
    assert np.abs(found - expected).max() <= FLOAT32.max_relative * np.ptp(expected)


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", ["tiny_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def test_every_node_runs_on_the_gpu(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(runtime: object, options: RunOptions) -> object:
        result = session_options(runtime, options)
        result.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return result

    monkeypatch.setattr(cuda, "session_options", strict)
    bundle: Bundle = request.getfixturevalue(name)
    for graph in ("mapping", "synthesis"):
        cuda.OnnxRuntimeCudaGraph(bundle.graph_path(graph, "fp32"), RunOptions()).close()
