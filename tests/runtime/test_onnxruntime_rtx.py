"""TensorRT-RTX through ONNX Runtime: what is refused, with the real plugin in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from runtime import Bundle, Generator, device
from runtime.backends import BackendName, RunOptions
from runtime.backends import onnxruntime_rtx as rtx
from runtime.device import Device, machine
from runtime.errors import BackendUnavailableError
from runtime.parity import FLOAT32

HERE = Path(__file__).parent
SPEC = importlib.util.find_spec(rtx.PACKAGE)
needs_plugin = pytest.mark.skipif(SPEC is None, reason=f"{rtx.PACKAGE} is missing: pip install 'stylegan-edge[rtx]'")
ORIN = Device("Orin", "8.7", 16, 8 << 30, "12.6", machine())

OPEN_TWICE = """
import os, sys
from pathlib import Path
from runtime import device
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.backends.onnxruntime_rtx import OnnxRuntimeRtxGraph
from runtime.errors import BackendUnavailableError
import numpy as np

device.DRIVER, graph = sys.argv[1], Path(sys.argv[2])
for _ in range(2):
    try:
        OnnxRuntimeRtxGraph(graph, RunOptions())
    except BackendUnavailableError as error:
        print(error)
print(os.environ["NVIDIA_TF32_OVERRIDE"])
z = np.random.RandomState(1).randn(2, 7).astype(np.float32)
print(OnnxRuntimeGraph(graph, RunOptions(threads=1)).run({"z": z}, ["w"])[0].tobytes().hex())
"""


@pytest.fixture
def graph(tiny_bundle: Bundle) -> Path:
    return tiny_bundle.graph_path("mapping", "fp32")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin in a folder of its own: at import it writes links next to itself."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    assert SPEC is not None
    assert SPEC.origin is not None
    folder = tmp_path_factory.mktemp("packages")
    shutil.copytree(Path(SPEC.origin).parent, folder / rtx.PACKAGE, copy_function=link)
    return folder


def build_driver(folder: Path, *sources: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing, which builds the driver")
    library = folder / "libcuda.so.1"
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), *(str(HERE / source) for source in sources)]
    subprocess.run(command, check=True)
    return library


def open_twice(driver: Path, graph: Path, packages: Path, libraries: str = "") -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(HERE.parents[1])])}
    environment["LD_LIBRARY_PATH"] = libraries
    environment.pop(rtx.TF32, None)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_TWICE, driver, graph],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def expected_w(graph: Path) -> str:
    from runtime.backends.onnxruntime import OnnxRuntimeGraph

    z = np.random.RandomState(1).randn(2, 7).astype(np.float32)
    return OnnxRuntimeGraph(graph, RunOptions(threads=1)).run({"z": z}, ["w"])[0].tobytes().hex()


@needs_plugin
def test_a_plugin_that_does_not_load_is_refused_and_the_cpu_still_runs(
    graph: Path, packages: Path, tmp_path: Path
) -> None:
    if has_driver():
        pytest.skip("the driver is there, so the plugin loads")
    first, second, tf32, w = open_twice(build_driver(tmp_path, "fake_driver.c"), graph, packages)
    assert "can't be loaded into ONNX Runtime" in first
    assert "libcuda.so.1: cannot open shared object file" in first
    assert "driver that serves CUDA 13" in first
    assert second == first
    assert tf32 == "0"
    assert w == expected_w(graph)


@needs_plugin
def test_a_plugin_without_a_device_is_refused_and_the_cpu_still_runs(
    graph: Path, packages: Path, tmp_path: Path
) -> None:
    if has_driver():
        pytest.skip("the driver is there, and made up ones can't stand beside it")
    driver = build_driver(tmp_path, "fake_driver.c", "idle_driver.c")
    shutil.copy(driver, tmp_path / "libnvidia-ml.so.1")
    first, second, _, w = open_twice(driver, graph, packages, str(tmp_path))
    assert "lists 0 GPUs, and not number 0, Orin of compute capability 8.7; it supports" in first
    assert second == first  # it is registered by now
    assert w == expected_w(graph)


def has_driver() -> bool:
    try:
        device.read_device()
    except BackendUnavailableError:
        return False
    return True


def test_a_missing_package_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"not installed.*pip install 'stylegan-edge\[rtx\]'"):
        rtx.OnnxRuntimeRtxGraph(graph, RunOptions())


@needs_plugin
def test_a_runtime_without_plugins_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(BackendUnavailableError, match=r"takes no plugins, expected 1\.24 or newer: pip install"):
        rtx.OnnxRuntimeRtxGraph(graph, RunOptions())


@needs_plugin
def test_no_driver_is_refused_before_anything_is_loaded(
    graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(device, "DRIVER", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(BackendUnavailableError, match="no NVIDIA GPU was found"):
        rtx.OnnxRuntimeRtxGraph(graph, RunOptions())
    assert rtx.PACKAGE not in sys.modules


def test_the_device_is_chosen_by_its_number() -> None:
    first, second = (SimpleNamespace(ep_options={"device_id": number}) for number in ("1", "0"))
    assert rtx._choose([first, second], 0, ORIN) is second
    unnumbered = [SimpleNamespace(ep_options={}), SimpleNamespace(ep_options={})]
    assert rtx._choose(unnumbered, 1, ORIN) is unnumbered[1]
    with pytest.raises(BackendUnavailableError, match="lists 2 GPUs, and not number 2, Orin"):
        rtx._choose([first, second], 2, ORIN)


def test_a_node_left_to_the_cpu_is_refused(
    graph: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where the plugin takes no node: here it is not even there."""
    monkeypatch.setattr(onnxruntime.SessionOptions, "add_provider_for_devices", lambda *arguments: None)
    with pytest.raises(BackendUnavailableError, match=rf"{rtx.RTX} can't be used: .*nodes .*default CPU EP.*disabled"):
        rtx._open(onnxruntime, graph, RunOptions(), None, {})
    assert capfd.readouterr().out == ""


def test_options_that_are_refused_are_told(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("no such option")

    monkeypatch.setattr(onnxruntime.SessionOptions, "add_provider_for_devices", refuse)
    with pytest.raises(BackendUnavailableError, match=f"{rtx.RTX} refuses its options: no such option"):
        rtx._open(onnxruntime, graph, RunOptions(), None, {})


def test_options_name_the_batches_of_every_free_size(tiny_bundle: Bundle) -> None:
    options = rtx.provider_options(RunOptions(cuda_graphs=False), tiny_bundle.manifest.graphs["synthesis"].inputs)
    assert options["enable_cuda_graph"] == "0"
    assert options["nv_profile_min_shapes"].startswith("styles:1x6x9,noise_00:1x1x4x4,")
    assert options["nv_profile_opt_shapes"] == options["nv_profile_min_shapes"]
    assert options["nv_profile_max_shapes"].endswith(",noise_04:16x1x16x16")
    assert rtx.provider_options(RunOptions(), ()) == {"enable_cuda_graph": "1"}


def test_each_shape_has_a_recording_of_its_own() -> None:
    recordings = rtx.Recordings()
    one, two = ({"z": np.zeros((batch, 7), np.float32)} for batch in (1, 2))
    numbers = [recordings.number(inputs, ["w"]) for inputs in (one, two, one, two)]
    assert numbers == [0, 1, 0, 1]
    assert recordings.number(one, ["other"]) == 2


@needs_plugin
@pytest.mark.gpu
def test_images_are_those_of_the_cpu(tiny_bundle: Bundle) -> None:
    from runtime.backends.onnxruntime import OnnxRuntimeGraph

    path = tiny_bundle.graph_path("synthesis", "fp32")
    inputs = {f"noise_{index:02}": item[None, None] for index, item in enumerate(tiny_bundle.stored_noise)}
    try:
        graph = rtx.OnnxRuntimeRtxGraph(path, RunOptions(), tiny_bundle.manifest.graphs["synthesis"].inputs)
    except BackendUnavailableError as error:
        if has_driver() and device.read_device().compute_capability in ("8.6", "8.9", "12.0"):
            raise
        pytest.skip(str(error))
    cpu = OnnxRuntimeGraph(path, RunOptions())
    for batch in (1, 3, 2, 3):
        inputs["styles"] = np.random.RandomState(batch).randn(batch, 6, 9).astype(np.float32)
        found, expected = graph.run(inputs, ["image"])[0], cpu.run(inputs, ["image"])[0]
        assert np.abs(found - expected).max() <= FLOAT32.max_relative * np.ptp(expected)
    graph.close()


@pytest.mark.skipif(has_driver(), reason="the driver is there")
def test_it_is_asked_for_by_name_and_passed_over_by_auto(tiny_bundle: Bundle) -> None:
    with pytest.raises(BackendUnavailableError, match="ONNX Runtime with TensorRT-RTX: "):
        Generator.load(tiny_bundle, backend=BackendName.TENSORRT_RTX)
    with Generator.load(tiny_bundle) as generator:
        ways = [(item.way, item.refused is None) for item in generator.attempts[-3:]]
    assert ways[0] == ("ONNX Runtime with TensorRT-RTX", False)
    assert generator.device == "cpu"
