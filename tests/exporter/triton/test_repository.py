"""Repositories on disk: the same bytes from the same bundle, whole or not at all, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import exporter.triton.repository as writing
from exporter.triton import Platform, write_repository
from runtime import Bundle
from runtime.engine_record import EngineFlags, Flavour, Profile
from runtime.engines import read_engine
from runtime.errors import BundleError, EngineMismatchError, InputError, OutputError, StyleganEdgeError
from tests.cli.conftest import listing
from tests.exporter.triton.bundles import KINDS
from tests.made_up_gpu.machine import Machine, add_engine

ROOT = Path(__file__).parents[3]
MODELS = ["a", "a_mapping", "a_synthesis", "a_truncation"]


def folders(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir())


def test_it_holds_four_models_and_nothing_else(tiny_bundle: Bundle, tmp_path: Path) -> None:
    written = write_repository(tiny_bundle, tmp_path / "models", "a")
    assert folders(tmp_path) == ["models"]
    assert folders(tmp_path / "models") == MODELS == sorted(written.names)
    files = {str(item.relative_to(tmp_path / "models")) for item in (tmp_path / "models").rglob("*") if item.is_file()}
    assert files == {
        *(f"{name}/config.pbtxt" for name in MODELS),
        *(f"{name}/1/model.onnx" for name in MODELS[1:]),
        "a/1/bundle.json",
        "a/README.md",
        "a/client.py",
    }
    for name in ("mapping", "synthesis"):
        copied = tmp_path / f"models/a_{name}/1/model.onnx"
        assert copied.read_bytes() == tiny_bundle.graph_path(name).read_bytes()


def test_the_same_bundle_gives_the_same_bytes(bundles: Mapping[str, Bundle], tmp_path: Path) -> None:
    for name in ("stylegan3", "mixed"):
        for place in ("one", "two"):
            write_repository(bundles[name], tmp_path / place, name, max_batch=3)
    assert listing(tmp_path / "one") == listing(tmp_path / "two")


def test_the_name_is_the_bundles_unless_given(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "avatars-64"))
    assert write_repository(bundle, tmp_path / "models").ensemble.name == "avatars-64"


@pytest.mark.parametrize("name", KINDS)
def test_the_readme_tells_what_the_models_take(name: str, repository: Path, bundles: Mapping[str, Bundle]) -> None:
    text, spec = (repository / name / "README.md").read_text(), bundles[name].spec
    assert f"| `psi` | FP32 | [N, {spec.num_ws}] |" in text
    assert f"| `pixels` | UINT8 | [N, 16, 16, {spec.img_channels}] |" in text
    assert "N is 1 to 4 images." in text
    assert ("| `z_2` | FP32 | [N, 7] |" in text) == ("must have the same factor" in text) == (name == "mixed")
    assert ("truncates the first 2 rows alone" in text) == (name == "stylegan1")
    assert ("`transform`" in text) == (name == "stylegan3")
    assert "TensorRT plan" not in text


def test_models_are_added_beside_others(bundles: Mapping[str, Bundle], tmp_path: Path) -> None:
    path = tmp_path / "models"
    write_repository(bundles["stylegan2"], path, "a")
    before = listing(path)
    (path / "notes.txt").write_text("mine")
    write_repository(bundles["stylegan1"], path, "b")
    after = listing(path)
    assert {key: after[key] for key in before} == before
    assert folders(path) == sorted([*MODELS, *(name.replace("a", "b", 1) for name in MODELS), "notes.txt"])


def test_an_empty_folder_is_a_repository(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_repository(tiny_bundle, tmp_path / "models", "a")
    assert folders(tmp_path / "models") == MODELS


def test_models_of_the_same_name_are_replaced_with_force_alone(bundles: Mapping[str, Bundle], tmp_path: Path) -> None:
    path = tmp_path / "models"
    for name in ("a", "b"):
        write_repository(bundles["stylegan2"], path, name)
    before = listing(path)
    with pytest.raises(OutputError, match="exists already; choose another --name or folder, or pass --force"):
        write_repository(bundles["stylegan3"], path, "a")
    assert listing(path) == before
    write_repository(bundles["stylegan3"], path, "a", force=True)
    after = listing(path)
    assert {key: text for key, text in after.items() if key.startswith("b")} == {
        key: text for key, text in before.items() if key.startswith("b")
    }
    copied = (path / "a_synthesis/1/model.onnx").read_bytes()
    assert copied == bundles["stylegan3"].graph_path("synthesis").read_bytes()


def test_a_failure_while_moving_leaves_what_was_there(
    bundles: Mapping[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of the four models can't be moved into place: the three before it are moved back."""
    path = tmp_path / "models"
    write_repository(bundles["stylegan2"], path, "a")
    before = listing(tmp_path)
    rename = os.rename

    def failing(source: Any, target: Any) -> None:
        if Path(target) == path / "a" and ".partial" in str(source) and "replaced" not in str(source):
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr("runtime.output.os.rename", failing)
    with pytest.raises(OutputError, match="nothing was left behind"):
        write_repository(bundles["stylegan3"], path, "a", force=True)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("mounted", [False, True])
def test_nothing_half_is_ever_in_a_repository(
    mounted: bool, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton takes every folder for a model, hidden ones too, and a server that starts just then would not.

    Nothing can be moved from outside into a file system of its own.
    """
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda self: mounted and self == path)
    seen: list[list[str]] = []
    write = writing._write_ensemble

    def looking(folder: Path, *rest: Any) -> None:
        seen.append(folders(path))
        assert folder.parent == (path if mounted else tmp_path)
        write(folder, *rest)

    monkeypatch.setattr(writing, "_write_ensemble", looking)
    write_repository(tiny_bundle, path, "a")
    assert [len(names) for names in seen] == [int(mounted)]
    assert folders(path) == MODELS


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_while_writing_leaves_nothing(
    exists: bool, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exists:
        (tmp_path / "new").mkdir()
        write_repository(tiny_bundle, tmp_path / "new/models", "b")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = listing(tmp_path)
    monkeypatch.setattr(writing, "_write_ensemble", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_repository(tiny_bundle, tmp_path / "new/models", "a")
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "../a"}, InputError, "model name '../a' can't be a folder"),
        ({"name": "ä"}, InputError, "give another --name"),
        ({"name": "a" * 101}, InputError, "expected up to 100 letters"),
        ({"precision": "fp16"}, BundleError, "has no graph 'synthesis.fp16', only"),
        ({"precision": "bf16"}, InputError, "no convolutions in bf16; use --platform tensorrt"),
        ({"max_batch": 0}, InputError, "max batch is 0, expected 1 to 4096"),
        ({"max_batch": 4097}, InputError, "max batch is 4097, expected 1 to 4096"),
        ({"engine": "x"}, InputError, "an engine was given, but --platform onnxruntime runs graphs"),
        ({"platform": Platform.TENSORRT}, EngineMismatchError, "build one on the GPU that will serve: stylegan-edge"),
    ],
)
def test_wrong_arguments(
    options: dict[str, Any], error: type[StyleganEdgeError], message: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        write_repository(tiny_bundle, tmp_path / "models", **options)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def _a_file(path: Path) -> None:
    path.write_text("mine")


def _a_bundle(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text("{}")


def _pictures(path: Path) -> None:
    (path / "holiday").mkdir(parents=True)


def _a_model_that_is_a_file(path: Path) -> None:
    path.mkdir()
    (path / "a_synthesis").write_text("mine")


@pytest.mark.parametrize(
    ("make", "force", "message"),
    [
        (_a_file, True, "is a file, expected a model repository"),
        (_a_bundle, True, "is a bundle, expected a model repository"),
        (_pictures, True, "is not a model repository: holiday in it is no model"),
        (_a_model_that_is_a_file, False, "exists already"),
        (_a_model_that_is_a_file, True, "is a file where a model's folder belongs"),
    ],
)
def test_what_is_no_repository_is_left_alone(
    make: Any, force: bool, message: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    make(tmp_path / "models")
    before = listing(tmp_path)
    with pytest.raises(OutputError) as caught:
        write_repository(tiny_bundle, tmp_path / "models", "a", force=force)
    assert message in str(caught.value)
    assert listing(tmp_path) == before


def test_writing_loads_no_torch(tiny_bundle: Bundle, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from stylegan_edge.cli import run\n"
        "code = run(['deploy', 'triton', sys.argv[1], '-o', sys.argv[2], '--name', 'a'])\n"
        "print(code, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle.path), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    code_, *modules = done.stdout.splitlines()[-1].split()
    assert code_ == "0"
    assert "onnx" in modules
    assert not {"torch", "onnxscript", "onnxruntime", "tritonclient"} & set(modules)


class TestTensorRT:
    """The bundle's engine for synthesis; the other models stay on ONNX Runtime."""

    @pytest.fixture
    def bundle(self, tiny_bundle: Bundle, tmp_path: Path, machine: Machine) -> Bundle:
        """Without an engine yet, on a machine where one can be made."""
        return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "a"))

    def write(self, bundle: Bundle, **options: Any) -> Path:
        path = bundle.path.parent / "models"
        write_repository(bundle, path, platform=Platform.TENSORRT, **options)
        return path

    def test_synthesis_is_the_engines_plan(self, bundle: Bundle) -> None:
        text_format = pytest.importorskip("google.protobuf.text_format")
        model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
        engine = read_engine(add_engine(bundle, [Profile(1, 1, 2), Profile(1, 3, 6), Profile(2, 4, 8)]))
        path = self.write(bundle)
        assert (path / "a_synthesis/1/model.plan").read_bytes() == engine.read_plan("synthesis")
        configs = {
            name: text_format.Parse((path / name / "config.pbtxt").read_text(), model_config.ModelConfig())
            for name in MODELS
        }
        config = configs["a_synthesis"]
        assert (config.platform, config.backend, config.default_model_filename) == (
            "tensorrt_plan",
            "tensorrt",
            "model.plan",
        )
        assert list(config.instance_group[0].profile) == ["1"], "the one with the largest batch that takes one image"
        assert list(config.dynamic_batching.preferred_batch_size) == [3, 6]
        assert {item.max_batch_size for item in configs.values()} == {6}
        assert not config.parameters
        assert [configs[f"a_{part}"].backend for part in ("mapping", "truncation")] == ["onnxruntime"] * 2
        assert engine.record.tensorrt in (path / "a/README.md").read_text()
        assert json.loads((path / "a/1/bundle.json").read_text())["engine"] == engine.folder.name

    def test_no_larger_batch_than_the_plan_takes(self, bundle: Bundle) -> None:
        add_engine(bundle, [Profile(1, 1, 4)])
        with pytest.raises(InputError, match="max batch is 5, expected 1 to 4, all that the engine"):
            self.write(bundle, max_batch=5)

    def test_several_engines_are_chosen_between_by_name(self, bundle: Bundle) -> None:
        first, second = add_engine(bundle), add_engine(bundle, [Profile(1, 2, 8)])
        with pytest.raises(InputError, match=r"has 2 engines that fit: .*; choose one with --engine NAME"):
            self.write(bundle)
        path = self.write(bundle, engine=second.name)
        assert json.loads((path / "a/1/bundle.json").read_text())["engine"] == second.name != first.name

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"flags": EngineFlags(strip_weights=True)}, "its plans hold no weights"),
            ({"flavour": Flavour.RTX}, "it is for tensorrt-rtx, which Triton has no backend for"),
            ({"profiles": [Profile(2, 4, 8)]}, "it takes batches of 2,4,8, expected a profile from 1"),
            ({"graphs": ["mapping"]}, "it holds no plan of synthesis"),
        ],
    )
    def test_an_engine_that_triton_cant_run(self, options: dict[str, Any], message: str, bundle: Bundle) -> None:
        engine = add_engine(bundle, **options)
        with pytest.raises(EngineMismatchError) as caught:
            self.write(bundle)
        assert f"({engine.name}: {message}" in str(caught.value)
        assert not (bundle.path.parent / "models").exists()

    def test_an_engine_of_another_graph(self, bundle: Bundle, bundles: Mapping[str, Bundle]) -> None:
        other = Bundle(shutil.copytree(bundles["stylegan1"].path, bundle.path.parent / "other"))
        shutil.copytree(add_engine(bundle).parent, other.path / "engines")
        with pytest.raises(EngineMismatchError, match="it was built from another synthesis graph"):
            self.write(other)

    def test_an_engine_that_is_not_there(self, bundle: Bundle) -> None:
        add_engine(bundle)
        with pytest.raises(EngineMismatchError, match="it has no engine nothing"):
            self.write(bundle, engine="nothing")

    def test_a_plan_that_was_changed(self, bundle: Bundle) -> None:
        plan = add_engine(bundle) / "synthesis.plan"
        plan.write_bytes(plan.read_bytes()[:-1])
        with pytest.raises(BundleError, match="build it again"):
            self.write(bundle)
        assert not (bundle.path.parent / "models").exists()
