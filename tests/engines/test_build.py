"""`stylegan-edge build` with TensorRT's own builder on the CPU: engines in bundles, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest

from exporter import export
from exporter.checkpoints import Checkpoint
from runtime import Bundle
from runtime.engine_record import Flavour, Host
from runtime.engines import Engine, choose_engine, engine_folders, read_engine
from runtime.errors import EngineMismatchError, IntegrityError
from runtime.spec import Architecture, GeneratorSpec
from tests.cli.conftest import listing
from tests.cli.test_wrong_bundles import rewrite
from tests.engines.tensorrt_cpu.session import GPU, ROOT, run_session, session_command, session_environment
from tests.engines.test_tensorrt_builds import FIXED_BATCH, REFUSED
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

GENERATIONS: dict[str, Callable[[], Checkpoint]] = {
    "stylegan1": partial(tiny_checkpoint, tiny_stylegan1_spec()),
    "stylegan2-conditional": partial(tiny_checkpoint, tiny_spec(c_dim=3)),
    "stylegan3-r": partial(tiny_checkpoint, tiny_stylegan3_spec(radial=True)),
}
"""More kinds of networks are built in `test_tensorrt_builds`, with one profile each."""
GRAPHS = ["mapping", "pipeline", "synthesis"]


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def build(bundle: Bundle, libraries: Path, *arguments: object, module: str = "tensorrt") -> Engine:
    """Build an engine, and read it back."""
    done = run_session(["build", bundle.path, *arguments, "--json"], libraries, module)
    assert done.returncode == 0, done.stderr
    engine = read_engine(Path(json.loads(done.stdout)["engine"]))
    assert engine.folder in engine_folders(bundle)
    return engine


def refused(bundle: Bundle, libraries: Path, *arguments: object, module: str = "tensorrt", code: int = 2) -> str:
    """A build that must fail with one line, and change nothing."""
    before = listing(bundle.path.parent)
    done = run_session(["build", bundle.path, *arguments], libraries, module)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("Error: ")
    assert all(line.startswith("Internal Error: Myelin") for line in lines[:-1]), done.stderr
    assert listing(bundle.path.parent) == before
    return lines[-1]


def plan_sizes(engine: Engine) -> dict[str, int]:
    return {name: len(engine.read_plan(name)) for name in engine.record.plans}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_builds_with_one_profile_and_with_two(
    generation: str, tensorrt_libraries: Path, tmp_path: Path
) -> None:
    bundle = export(GENERATIONS[generation](), tmp_path / "bundle", pipeline=True)
    one = build(bundle, tensorrt_libraries)
    two = build(bundle, tensorrt_libraries, "--batch", "1", "--batch", "2,4,8")
    assert engine_folders(bundle) == sorted([one.folder, two.folder])
    for engine, batches in ((one, ["1,1,8"]), (two, ["1,1,1", "2,4,8"])):
        assert [str(profile) for profile in engine.record.profiles] == batches
        assert sorted(engine.record.plans) == GRAPHS
        assert all(plan.warnings == () for plan in engine.record.plans.values())
        assert all(plan_sizes(engine).values())
    assert choose_engine(bundle, Host(GPU, Flavour.TENSORRT, one.record.tensorrt)).folder in (one.folder, two.folder)
    Bundle(bundle.path)


@pytest.mark.parametrize(
    ("spec", "precisions"),
    [(tiny_spec(Architecture.RESNET), ("fp32", "fp16")), (tiny_stylegan3_spec(), ("fp16",))],
    ids=["resnet", "stylegan3"],
)
def test_head_and_tail_are_built(
    spec: GeneratorSpec, precisions: tuple[str, ...], tensorrt_libraries: Path, tmp_path: Path
) -> None:
    """What crosses the cut may be one for all images or one for each, and is float16 where the network's is."""
    bundle = export(tiny_checkpoint(spec), tmp_path / "bundle", ("fp32", "fp16"), split=4)
    for precision in precisions:
        engine = build(bundle, tensorrt_libraries, "--precision", precision, "--batch", "1,1,8")
        mapping = ["mapping"] if precision == "fp32" else []
        assert sorted(engine.record.plans) == sorted(["head", "synthesis", "tail", *mapping])
        assert all(plan.warnings == () for plan in engine.record.plans.values())
        assert all(plan_sizes(engine).values())


def test_tensorrt_rtx_builds_from_its_own_module(bundle: Bundle, tensorrt_libraries: Path) -> None:
    engine = build(bundle, tensorrt_libraries, "--backend", "tensorrt-rtx", module="tensorrt_rtx")
    assert engine.record.flavour is Flavour.RTX
    assert engine.folder.name.startswith(f"tensorrt-rtx-{engine.record.tensorrt}-sm87-fp32-")


def test_options_reach_the_record_and_the_command_that_rebuilds(bundle: Bundle, tensorrt_libraries: Path) -> None:
    options = ["--workspace", "512", "--optimization-level", "1", "--tf32", "--batch", "2,3,4"]
    engine = build(bundle, tensorrt_libraries, *options, "--graph", "mapping")
    assert list(engine.record.plans) == ["mapping"]
    flags = engine.record.flags
    assert (flags.workspace, flags.optimization_level, flags.tf32) == (512, 1, True)
    again = engine.record.build_command(bundle.path)
    assert all(word in again.split() for word in options)


def test_what_tensorrt_warns_of_is_kept(bundle: Bundle, tensorrt_libraries: Path) -> None:
    engine = build(bundle, tensorrt_libraries, "--hardware-compatible", "ampere+", "--graph", "mapping")
    assert any("setHardwareCompatibilityLevel() is unsupported" in text for text in _warnings(engine))


def _warnings(engine: Engine) -> tuple[str, ...]:
    return engine.record.plans["mapping"].warnings


def test_a_timing_cache_is_written_and_read(bundle: Bundle, tensorrt_libraries: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    arguments = ["--timing-cache", cache, "--graph", "mapping"]
    build(bundle, tensorrt_libraries, *arguments)
    written = cache.read_bytes()
    assert written
    build(bundle, tensorrt_libraries, *arguments, "--force")
    assert cache.read_bytes()


def test_an_engine_is_not_replaced_without_force(bundle: Bundle, tensorrt_libraries: Path) -> None:
    engine = build(bundle, tensorrt_libraries, "--graph", "mapping")
    assert "exists already" in refused(bundle, tensorrt_libraries, "--graph", "mapping")
    (engine.folder / "mapping.plan").write_bytes(b"spoilt")
    with pytest.raises(IntegrityError, match=r"mapping\.plan: has 6 bytes, .* --force"):
        engine.read_plan("mapping")
    assert build(bundle, tensorrt_libraries, "--graph", "mapping", "--force").read_plan("mapping")


def test_an_engine_of_an_older_export_is_stale(bundle: Bundle, tensorrt_libraries: Path, tmp_path: Path) -> None:
    engine = build(bundle, tensorrt_libraries)
    other = export(tiny_checkpoint(seed=2), tmp_path / "other", pipeline=True)
    shutil.copytree(engine.folder.parent, other.path / "engines")
    with pytest.raises(EngineMismatchError, match="built from another mapping graph") as caught:
        choose_engine(other, Host(GPU, Flavour.TENSORRT, engine.record.tensorrt))
    command = str(caught.value).split("build one: ")[1].split(" (")[0].split()
    assert run_session(command[1:], tensorrt_libraries).returncode == 0
    assert choose_engine(other, Host(GPU, Flavour.TENSORRT, engine.record.tensorrt)).folder != engine.folder


REFUSED_OPTIONS = {
    "--version-compatible": "has no --version-compatible, TensorRT 8.6 and newer have it, TensorRT-RTX has not",
    "--hardware-compatible ampere+": "has no --hardware-compatible ampere+, TensorRT 8.6 and newer",
    "--hardware-compatible same-capability": "same-capability, TensorRT 10.9 and newer have it",
}


@pytest.mark.parametrize("option", REFUSED_OPTIONS)
def test_an_option_that_tensorrt_rtx_lacks_is_named(option: str, bundle: Bundle, tensorrt_libraries: Path) -> None:
    arguments = ["--backend", "tensorrt-rtx", *option.split()]
    assert REFUSED_OPTIONS[option] in refused(bundle, tensorrt_libraries, *arguments, module="tensorrt_rtx")


@pytest.mark.parametrize("option", ["--strip-weights", "--refittable", "--version-compatible"])
def test_a_build_that_tensorrt_gives_up_leaves_nothing(option: str, bundle: Bundle, tensorrt_libraries: Path) -> None:
    """The CPU builder makes no such plan: refitting is prepared on a GPU, and the lean library is not there."""
    message = refused(bundle, tensorrt_libraries, option)
    assert "mapping.onnx: TensorRT 11.4.0.106 can't build it: " in message


def replace_graph(bundle: Bundle, name: str, text: str) -> None:
    """Put another graph in a bundle's place, as a damaged export would."""
    path = bundle.path / f"{name}.onnx"
    model = onnx.parser.parse_model(text)
    onnx.save(model, path)
    data = path.read_bytes()
    info = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    sizes = [[{"name": "x", "dtype": "float32", "shape": ["batch", 3, 8]}], []]

    def change(content: dict[str, Any]) -> None:
        content["files"][path.name] = info
        content["graphs"][name].update(inputs=sizes[0], outputs=sizes[1])

    rewrite(bundle.path, change)


@pytest.mark.parametrize("operator", REFUSED)
def test_a_node_that_tensorrt_refuses_is_named(operator: str, bundle: Bundle, tensorrt_libraries: Path) -> None:
    replace_graph(bundle, "mapping", REFUSED[operator])
    message = refused(bundle, tensorrt_libraries)
    assert "mapping.onnx: TensorRT 11.4.0.106 can't read it: node " in message
    assert f"operator {operator}:" in message


def test_a_graph_whose_batch_is_fixed_is_refused(bundle: Bundle, tensorrt_libraries: Path) -> None:
    replace_graph(bundle, "mapping", FIXED_BATCH)
    assert "mapping.onnx: its batch is not free" in refused(bundle, tensorrt_libraries, "--batch", "1,2,4")
    assert "mapping.onnx: TensorRT 11.4.0.106 can't build it" in refused(bundle, tensorrt_libraries, "--batch", "1")


def test_a_timing_cache_of_no_sane_size_is_refused(bundle: Bundle, tensorrt_libraries: Path, tmp_path: Path) -> None:
    with (tmp_path / "bundle" / "cache").open("wb") as file:
        file.truncate(1 << 29)
    message = refused(bundle, tensorrt_libraries, "--timing-cache", tmp_path / "bundle" / "cache")
    assert "over the limit of 268,435,456 for a timing cache" in message


def test_tuning_asks_for_what_runs_plans(bundle: Bundle, tensorrt_libraries: Path) -> None:
    """A GPU that is read but can't be used: an engine could be built, and nothing timed."""
    if os.path.exists("/proc/driver/nvidia/version"):
        pytest.skip("this machine has a GPU")
    assert "NVIDIA's driver can't be " in refused(bundle, tensorrt_libraries, "--tune")


TWICE = """
import sys
from pathlib import Path
import tensorrt_bindings
from engines.builder import PlanBuilder, Source
from engines.options import BuildOptions, parse_profile
from runtime.tensorrt.versions import load_library
from runtime.engine_record import Flavour
from runtime.errors import EngineBuildError
from runtime.manifest import TensorInfo
sys.modules["tensorrt"] = tensorrt_bindings
source = Source("fixed", Path(sys.argv[1]), (TensorInfo("x", "float32", ("batch", 3, 8)),), (), "fp32")
for _ in range(2):
    try:
        PlanBuilder(load_library(Flavour.TENSORRT), BuildOptions((parse_profile("1,2,4"),))).build(source)
    except EngineBuildError as error:
        print(error)
"""


def test_a_second_build_of_a_process_hears_tensorrt_too(tensorrt_libraries: Path, tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(FIXED_BATCH), tmp_path / "fixed.onnx")
    command = [session_command([])[0], "-c", TWICE, str(tmp_path / "fixed.onnx")]
    environment = session_environment(tensorrt_libraries)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [("its batch is not free" in line) for line in done.stdout.splitlines()] == [True, True]


@pytest.fixture(scope="module")
def deep_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network that takes TensorRT long enough to be stopped in the middle."""
    checkpoint = tiny_checkpoint(channels=(64, 64, 64, 64, 64, 32, 16))
    return export(checkpoint, tmp_path_factory.mktemp("deep") / "bundle")


STOPS = [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGKILL, None)]


@pytest.mark.parametrize(("sent", "told"), STOPS)
def test_a_stopped_build_leaves_no_engine(
    sent: signal.Signals, told: str | None, deep_bundle: Bundle, tensorrt_libraries: Path, tmp_path: Path
) -> None:
    bundle = Bundle(shutil.copytree(deep_bundle.path, tmp_path / "bundle"))
    before = listing(bundle.path)
    command = session_command(["build", bundle.path, "--graph", "mapping", "--graph", "synthesis"])
    environment = session_environment(tensorrt_libraries)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        while not list(bundle.path.glob("engines/.*/mapping.plan")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(sent)
        output, errors = process.communicate(timeout=60)
    assert output == ""
    assert engine_folders(bundle) == []
    if told is None:
        assert process.returncode == -sent
    else:
        assert process.returncode == 128 + sent
        assert errors.strip() == f"Error: {told}; nothing was left behind"
        assert listing(bundle.path) == before
    assert build(bundle, tensorrt_libraries, "--graph", "mapping").read_plan("mapping")


@pytest.mark.parametrize("options", [[], ["--tune"]])
def test_the_device_is_what_is_missing_here(options: list[str], bundle: Bundle, tensorrt_libraries: Path) -> None:
    """The command as users run it: bindings and libraries are there, a GPU is not."""
    if os.path.exists("/proc/driver/nvidia/version"):
        pytest.skip("this machine has a GPU")
    command = session_command([])[0], "-m", "stylegan_edge", "build", str(bundle.path), *options
    done = subprocess.run(
        command, capture_output=True, text=True, env=session_environment(tensorrt_libraries), cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no NVIDIA GPU was found")
    assert len(done.stderr.splitlines()) == 1
    assert not (bundle.path / "engines").exists()
