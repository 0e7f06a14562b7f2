"""Engines on disk, on a real GPU: what does not fit is refused, a killed build leaves none, weights can be replaced."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.options import BuildOptions
from engines.store import build_engine
from runtime import Bundle
from runtime.backends import BackendName, GraphRunner
from runtime.backends.tensorrt import BACKENDS
from runtime.backends.tensorrt.plan import load_plan
from runtime.backends.tensorrt.runner import TensorRtGraph
from runtime.cuda import Gpu
from runtime.device import Device
from runtime.engine_record import ENGINE_RECORD, EngineFlags, EngineRecord, Profile
from runtime.engines import Engine, engine_folders, plan_path
from runtime.errors import EngineBuildError, EngineMismatchError, IntegrityError
from runtime.graphs import OpenGraphs
from runtime.parity import all_passed
from runtime.records import to_plain
from runtime.tensorrt.refit import refit_from_graph
from runtime.tensorrt.versions import Feature, Library
from runtime.up_forms import UpForm
from runtime.verify import verify_golden
from tests.gpu.building import Built
from tests.gpu.bundles import OTHER_WEIGHTS

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
BATCHES = (1, 2, 3, 8)
PROFILES = (Profile(1, 2, 8),)
KILL_LIMIT = 300
"""Seconds after which a build that should be killed hangs."""
POLL = 0.002
_BUILD = """
import sys
from engines.options import BuildOptions
from engines.store import build_engine
from runtime import Bundle
from runtime.device import read_device
from runtime.engine_record import Flavour
from runtime.tensorrt.versions import load_library
build_engine(Bundle(sys.argv[1]), load_library(Flavour(sys.argv[2])), read_device(), BuildOptions())
"""


def test_a_killed_build_leaves_no_engine(
    bundle_of: Callable[[str], Bundle], library: Library, device: Device, tmp_path: Path
) -> None:
    bundle = Bundle(shutil.copytree(bundle_of("avatars-64").path, tmp_path / "bundle"))
    command = [sys.executable, "-c", _BUILD, str(bundle.path), library.flavour.value]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + KILL_LIMIT
        while not list(bundle.path.glob("engines/.*/mapping.plan")) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(POLL)
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors
    assert list(bundle.path.glob("engines/.*/mapping.plan")), "it was killed before the first plan"
    assert engine_folders(bundle) == []
    with pytest.raises(EngineMismatchError, match="no engine fits this device; build one: stylegan-edge build"):
        OpenGraphs.open(bundle, BACKENDS[library.flavour])
    engine, _ = build_engine(bundle, library, device, BuildOptions(), graphs=("mapping", "synthesis"))
    OpenGraphs.open(bundle, BACKENDS[library.flavour], pipeline=False).close()
    assert engine_folders(bundle) == [engine.folder]


class TestWhatIsRefused:
    @pytest.fixture
    def spoilt(self, build: Callable[..., Built], tmp_path: Path) -> Built:
        return build("stylegan2").copy(tmp_path)

    def test_a_corrupted_plan(self, spoilt: Built) -> None:
        plan = plan_path(spoilt.engines["fp32"].folder, "synthesis")
        data = bytearray(plan.read_bytes())
        data[len(data) // 2] ^= 1
        plan.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"its sha256 is not its record's.* --force"):
            spoilt.load()

    def test_half_a_plan(self, spoilt: Built) -> None:
        plan = plan_path(spoilt.engines["fp32"].folder, "synthesis")
        plan.write_bytes(plan.read_bytes()[: plan.stat().st_size // 2])
        with pytest.raises(IntegrityError, match=r"bytes, expected .* --force"):
            spoilt.load()

    def test_what_is_no_plan(self, spoilt: Built) -> None:
        """A record that agrees with a file which TensorRT never wrote: TensorRT itself refuses it."""
        engine = spoilt.engines["fp32"]
        data = b"no plan" * 1000
        plans = dict(engine.record.plans)
        plans["synthesis"] = dataclasses.replace(
            plans["synthesis"], sha256=hashlib.sha256(data).hexdigest(), size=len(data)
        )
        plan_path(engine.folder, "synthesis").write_bytes(data)
        rewrite(engine, dataclasses.replace(engine.record, plans=plans))
        with pytest.raises(EngineMismatchError, match="refuses its plan of synthesis"):
            spoilt.load()

    def test_another_gpu(self, spoilt: Built, device: Device) -> None:
        rewrite_all(spoilt, device=dataclasses.replace(device, compute_capability="99.9"))
        with pytest.raises(EngineMismatchError, match=r"it is for compute capability 99\.9, this is"):
            spoilt.load()

    def test_another_version(self, spoilt: Built) -> None:
        rewrite_all(spoilt, tensorrt="99.9.9")
        with pytest.raises(EngineMismatchError, match=r"it is for TensorRT 99\.9\.9, this is"):
            spoilt.load()


def rewrite_all(built: Built, **changes: object) -> None:
    """Let every engine's record say otherwise."""
    for engine in built.engines.values():
        rewrite(engine, dataclasses.replace(engine.record, **changes))  # type: ignore[arg-type]


def rewrite(engine: Engine, record: EngineRecord) -> None:
    """Give an engine another record, which agrees with its folder's name and itself."""
    (engine.folder / ENGINE_RECORD).write_text(record.to_text(), encoding="utf-8")
    engine.folder.rename(engine.folder.with_name(record.fingerprint))


def built_with(build: Callable[..., Built], flags: EngineFlags) -> Built:
    """An engine with flags; skips where this TensorRT refuses to build it."""
    try:
        return build("stylegan2", PROFILES, flags)
    except EngineBuildError as error:
        pytest.skip(str(error))


def test_a_stripped_engine_takes_its_weights_from_the_graph(build: Callable[..., Built], library: Library) -> None:
    if not library.has(Feature.STRIP_WEIGHTS):
        pytest.skip(f"{library.name} has no {Feature.STRIP_WEIGHTS.value.label}")
    built = built_with(build, EngineFlags(strip_weights=True))
    graphs = OpenGraphs.open(built.bundle, built.backend, pipeline=False)
    try:
        figures = verify_golden(built.bundle, graphs, BATCHES)
    finally:
        graphs.close()
    assert all_passed(figures), [item.failures() for item in figures]


def test_an_engine_refitted_with_other_weights(
    build: Callable[..., Built], bundle_of: Callable[[str], Bundle], library: Library, gpu: Gpu
) -> None:
    if not library.has(Feature.REFIT_FROM_GRAPH):
        pytest.skip(f"{library.name} has no {Feature.REFIT_FROM_GRAPH.value.label}")
    other = bundle_of(OTHER_WEIGHTS)
    built = built_with(build, EngineFlags(refittable=True))
    engine = built.engines["fp32"]
    opened: dict[str, GraphRunner] = {}
    try:
        for name in ("mapping", "synthesis"):
            with gpu.current():
                plan = load_plan(library, engine, name, built.bundle.graph(name), built.bundle.graph_path(name))
                refit_from_graph(library, plan._loaded, other.graph_path(name))
            opened[name] = TensorRtGraph(gpu, plan, BackendName.TENSORRT, contexts=1, cuda_graphs=True)
        figures = verify_golden(other, OpenGraphs(opened["mapping"], opened["synthesis"], None, ()), BATCHES)
    finally:
        for graph in opened.values():
            graph.close()
    assert all_passed(figures), [item.failures() for item in figures]


@pytest.mark.parametrize("flags", [EngineFlags(optimization_level=0), EngineFlags(workspace=256)], ids=str)
def test_flags_of_the_builder(build: Callable[..., Built], flags: EngineFlags) -> None:
    built = build("stylegan3-t", PROFILES, flags)
    graphs = OpenGraphs.open(built.bundle, built.backend, pipeline=False)
    try:
        assert all_passed(verify_golden(built.bundle, graphs, BATCHES))
    finally:
        graphs.close()


def test_the_fastest_forms_of_up_convolutions(
    build: Callable[..., Built], record_property: Callable[[str, Any], None]
) -> None:
    """Every layer is timed in forms that fit its filter, and the engine of the fastest draws what the bundle does."""
    pytest.importorskip("onnx", reason="onnx is not installed, which --tune rewrites graphs with")
    built = build("avatars-64", PROFILES, EngineFlags(tune=True))
    for precision, engine in built.engines.items():
        layers = engine.record.tuning
        record_property(precision, to_plain(layers))
        assert len(layers) == 3
        for layer in layers:
            assert UpForm.TRANSPOSED.value in layer.microseconds
            assert len(layer.microseconds) > 1
            assert all(value > 0 for value in layer.microseconds.values())
        graphs = OpenGraphs.open(built.bundle, built.backend, precision=precision, pipeline=False)
        try:
            assert all_passed(verify_golden(built.bundle, graphs, BATCHES))
        finally:
            graphs.close()


def test_a_version_compatible_engine(build: Callable[..., Built], library: Library) -> None:
    if not library.has(Feature.VERSION_COMPATIBLE):
        pytest.skip(f"{library.name} has no {Feature.VERSION_COMPATIBLE.value.label}")
    built = built_with(build, EngineFlags(version_compatible=True))
    graphs = OpenGraphs.open(built.bundle, built.backend, pipeline=False)
    try:
        assert all_passed(verify_golden(built.bundle, graphs, BATCHES))
    finally:
        graphs.close()
