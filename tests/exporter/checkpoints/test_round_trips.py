"""Tiny generators written as each project writes them, and read back: exactly the same specification and weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from exporter.checkpoints import MEAN_W, Checkpoint, SourceFormat, load_checkpoint, write_safetensors
from runtime.noise import seeded_noise
from runtime.spec import Architecture, GeneratorSpec, LabelInput, StyleGAN1Spec, Truncation
from tests.exporter.checkpoints.known_networks import (
    exact_checkpoint,
    rosinality_stylegan1,
    tensorflow_stylegan1,
    tensorflow_stylegan2,
    without_extras,
)
from tests.exporter.checkpoints.snapshots import to_pickle
from tests.exporter.checkpoints.state_dicts import rosinality_state, style_based_state, to_torch_stream, to_torch_zip
from tests.exporter.checkpoints.stylegan3_snapshots import stylegan3_snapshot
from tests.exporter.checkpoints.tensorflow_networks import VERSIONS, record, snapshot, tensorflow_pickle, variables_of
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan3_spec


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network"


def assert_read(path: Path, checkpoint: Checkpoint, source: SourceFormat) -> Checkpoint:
    """The file holds this checkpoint and nothing else, and so does what `convert` makes of it."""
    found = load_checkpoint(path)
    assert found.source is source
    assert_same(found, checkpoint)
    converted = path.with_suffix(".safetensors")
    write_safetensors(found, converted)
    assert_same(load_checkpoint(converted), checkpoint)
    return found


def assert_same(found: Checkpoint, checkpoint: Checkpoint) -> None:
    """The same specification and the same arrays, exactly."""
    assert found.spec == checkpoint.spec
    assert sorted(found.weights) == sorted(checkpoint.weights)
    for name, array in checkpoint.weights.items():
        assert found.weights[name].dtype == np.float32
        assert np.array_equal(found.weights[name], array), name


STYLEGAN1: dict[str, tuple[GeneratorSpec, dict[str, Any]]] = {
    "defaults": (tensorflow_stylegan1(), {}),
    "options that change nothing": (tensorflow_stylegan1(), {"fmap_base": 8192, "structure": "linear", "dtype": "f4"}),
    "fused up-sampling": (tensorflow_stylegan1(), {"fused_scale": True}),
    "plain up-sampling": (tensorflow_stylegan1(), {"fused_scale": False}),
    "up-sampling as the resolution asks for": (tensorflow_stylegan1(channels=(2,) * 6), {"fused_scale": "auto"}),
    "labels": (tensorflow_stylegan1(LabelInput.CONCAT), {"label_size": 3}),
    "embedded labels": (tensorflow_stylegan1(LabelInput.EMBED), {"label_size": 3}),
    "no noise": (tensorflow_stylegan1(use_noise=False), {"use_noise": False}),
    "a fixed structure": (tensorflow_stylegan1(rgb_everywhere=False), {"structure": "fixed"}),
    "a growing network": (tensorflow_stylegan1(lod=1.25), {"structure": "recursive"}),
    "a growing network with labels and fused up-sampling": (
        tensorflow_stylegan1(LabelInput.CONCAT, lod=0.5),
        {"structure": "linear", "fused_scale": True},
    ),
    "a network at 4 px": (tensorflow_stylegan1(lod=2.0), {}),
    "a network of 4 px": (tensorflow_stylegan1(channels=(5,)), {"resolution": 4}),
    "no blur": (tensorflow_stylegan1(blur_filter=(0.0, 1.0, 0.0)), {"blur_filter": None}),
    "another blur": (tensorflow_stylegan1(blur_filter=(0.125, 0.375, 0.375, 0.125)), {"blur_filter": [1, 3, 3, 1]}),
    "grey": (tensorflow_stylegan1(img_channels=1), {"num_channels": 1}),
    "no truncation": (
        replace(tensorflow_stylegan1(), truncation=Truncation()),
        {"truncation_psi": None, "truncation_cutoff": 8},
    ),
    "truncation without a cutoff, which is none": (
        replace(tensorflow_stylegan1(), truncation=Truncation()),
        {"truncation_cutoff": None},
    ),
    "another truncation": (tensorflow_stylegan1(psi=0.5), {"truncation_psi": 0.5}),
}


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("case", STYLEGAN1)
def test_stylegan_of_tensorflow(case: str, protocol: int, path: Path) -> None:
    spec, options = STYLEGAN1[case]
    checkpoint = exact_checkpoint(spec)
    variables = variables_of(checkpoint, options.get("fused_scale", "auto"))
    path.write_bytes(tensorflow_pickle(variables, options, protocol=protocol))
    details = assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW).details
    assert details["network"] == "Gs"
    assert details["pickle protocol"] == str(protocol)


STYLEGAN2: dict[str, tuple[GeneratorSpec, dict[str, Any]]] = {
    "defaults": (tensorflow_stylegan2(), {}),
    "skip": (tensorflow_stylegan2(), {"architecture": "skip", "resolution": 16, "fused_modconv": False}),
    "orig": (tensorflow_stylegan2(Architecture.ORIG), {"architecture": "orig"}),
    "resnet": (tensorflow_stylegan2(Architecture.RESNET), {"architecture": "resnet"}),
    "labels": (tensorflow_stylegan2(label=LabelInput.CONCAT), {"label_size": 3}),
    "embedded labels": (tensorflow_stylegan2(label=LabelInput.EMBED), {"label_size": 3}),
    "no noise": (tensorflow_stylegan2(use_noise=False), {"use_noise": False}),
    "a clamp": (tensorflow_stylegan2(conv_clamp=256.0), {"conv_clamp": 256, "num_fp16_res": 4}),
    "another filter": (tensorflow_stylegan2(resample_filter=(0.5, 0.5)), {"resample_kernel": [1, 1]}),
    "a network of 4 px": (tensorflow_stylegan2(channels=(5,)), {}),
    "truncation of some rows": (
        replace(tensorflow_stylegan2(), truncation=Truncation(0.5, 4)),
        {"truncation_cutoff": 4},
    ),
    "no truncation": (replace(tensorflow_stylegan2(), truncation=Truncation()), {"truncation_psi": None}),
}


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("case", STYLEGAN2)
def test_stylegan2_of_tensorflow(case: str, protocol: int, path: Path) -> None:
    spec, options = STYLEGAN2[case]
    checkpoint = exact_checkpoint(spec)
    path.write_bytes(tensorflow_pickle(variables_of(checkpoint), options, version=4, protocol=protocol))
    assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW)


def test_a_lone_network_is_read(path: Path) -> None:
    checkpoint = exact_checkpoint(tensorflow_stylegan1())
    path.write_bytes(to_pickle(snapshot(variables_of(checkpoint), {})[2]))
    assert assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW).details["network"] == "0"


def test_a_network_without_a_whole_gs_gives_its_g(path: Path) -> None:
    checkpoint = exact_checkpoint(tensorflow_stylegan1())
    _, discriminator, generator = snapshot(variables_of(checkpoint), {})
    path.write_bytes(to_pickle((generator, discriminator, record("G_style", {}, {}))))
    assert assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW).details["network"] == "G"


@pytest.mark.parametrize("missing", [("lod",), ("synthesis/lod",), ("lod", "synthesis/lod"), ("dlatent_avg",)])
def test_variables_that_may_be_missing(missing: tuple[str, ...], path: Path) -> None:
    checkpoint = exact_checkpoint(tensorflow_stylegan1())
    variables = variables_of(checkpoint)
    path.write_bytes(tensorflow_pickle({key: variables[key] for key in variables if key not in missing}, {}))
    weights = {name: array for name, array in checkpoint.weights.items() if name != MEAN_W or "lod" in missing[0]}
    assert_read(path, replace(checkpoint, weights=weights), SourceFormat.NVIDIA_TENSORFLOW)


def test_a_fixed_structure_has_no_level_of_detail(path: Path) -> None:
    """What training had stored does not count: such a network always draws the whole image."""
    checkpoint = exact_checkpoint(tensorflow_stylegan1(rgb_everywhere=False))
    variables = {**variables_of(checkpoint), "lod": np.array(1.5, np.float32)}
    path.write_bytes(tensorflow_pickle(variables, {"structure": "fixed"}))
    assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW)


@pytest.mark.parametrize("spec", [tensorflow_stylegan1(), tensorflow_stylegan2()], ids=["StyleGAN", "StyleGAN2"])
def test_noise_may_be_missing(spec: GeneratorSpec, path: Path) -> None:
    checkpoint = exact_checkpoint(spec)
    variables = {
        name: array for name, array in variables_of(checkpoint).items() if not name.startswith("synthesis/noise")
    }
    path.write_bytes(tensorflow_pickle(variables, {}, VERSIONS[spec.generation]))
    weights = {name: array for name, array in checkpoint.weights.items() if not name.endswith("noise_const")}
    found = assert_read(path, replace(checkpoint, weights=weights), SourceFormat.NVIDIA_TENSORFLOW)
    assert not found.has_noise
    noise = [found.completed().weights[item.buffer] for item in spec.noise_inputs]
    assert [array.shape for array in noise] == list(spec.noise_shapes)
    assert all(np.array_equal(array, drawn[0, 0]) for array, drawn in zip(noise, seeded_noise(spec, 0)))


def test_noise_may_be_missing_of_rosinality(path: Path) -> None:
    path.write_bytes(to_torch_zip({"g_ema": rosinality_state(without=r"noises\.")}))
    found = load_checkpoint(path)
    assert found.spec.noise_inputs
    assert not found.has_noise


def test_big_endian_and_wider_numbers_are_converted(path: Path) -> None:
    checkpoint = exact_checkpoint(tensorflow_stylegan1())
    variables: dict[str, Any] = dict(variables_of(checkpoint))
    variables["dlatent_avg"] = variables["dlatent_avg"].astype(">f8")
    path.write_bytes(tensorflow_pickle(variables, {}))
    assert_read(path, checkpoint, SourceFormat.NVIDIA_TENSORFLOW)


STYLE_BASED: dict[str, tuple[GeneratorSpec, dict[str, int]]] = {
    "all blocks trained": (rosinality_stylegan1(), {}),
    "fused up-sampling": (rosinality_stylegan1(), {"fused_from": 16}),
    "untrained blocks above": (rosinality_stylegan1(), {"untrained": 6, "fused_from": 128}),
    "4 px trained": (rosinality_stylegan1(channels=(5,)), {"untrained": 2}),
    "another blur": (rosinality_stylegan1(blur_filter=(0.5, 0.5)), {}),
    "grey": (rosinality_stylegan1(img_channels=1), {}),
}


@pytest.mark.parametrize("case", STYLE_BASED)
def test_stylegan_of_rosinality(case: str, path: Path) -> None:
    spec, options = STYLE_BASED[case]
    checkpoint = without_extras(exact_checkpoint(spec))
    path.write_bytes(to_torch_zip(style_based_state(checkpoint, **options)))
    details = assert_read(path, checkpoint, SourceFormat.ROSINALITY_STYLEGAN1).details
    stored = len(spec.synthesis.channels) + options.get("untrained", 0)  # type: ignore[attr-defined]
    trained = f"blocks up to {spec.resolution} px of {4 << (stored - 1)}"
    assert details["trained"] == (trained if options.get("untrained") else f"all {stored} blocks")


def test_a_generator_that_was_never_trained_has_all_its_blocks(path: Path) -> None:
    checkpoint = without_extras(exact_checkpoint(rosinality_stylegan1()))
    for name, array in checkpoint.weights.items():
        if name.endswith((".conv1.bias", ".torgb.bias", ".noise_weight")):
            array[:] = 0
    path.write_bytes(to_torch_zip(style_based_state(checkpoint)))
    assert assert_read(path, checkpoint, SourceFormat.ROSINALITY_STYLEGAN1).details["trained"] == "all 3 blocks"


@pytest.mark.parametrize("save", [to_torch_stream, to_torch_zip])
@pytest.mark.parametrize(
    ("wrap", "network"),
    [
        (lambda state: state, "state dict"),
        (lambda state: {"generator": {}, "g_optimizer": {"state": {}}, "g_running": state}, "g_running"),
        (lambda state: {f"module.{name}": array for name, array in state.items()}, "state dict"),
        (lambda state: {"generator": {f"module.{name}": item for name, item in state.items()}}, "generator"),
    ],
    ids=["bare", "training file", "bare, data-parallel", "training file, data-parallel"],
)
def test_containers_of_rosinality(save: Any, wrap: Any, network: str, path: Path) -> None:
    checkpoint = without_extras(exact_checkpoint(rosinality_stylegan1()))
    path.write_bytes(save(wrap(style_based_state(checkpoint))))
    assert assert_read(path, checkpoint, SourceFormat.ROSINALITY_STYLEGAN1).details["network"] == network


@pytest.mark.parametrize(
    "spec",
    [
        tiny_stylegan3_spec(),
        tiny_stylegan3_spec(radial=True),
        tiny_stylegan3_spec(c_dim=3),
        tiny_stylegan3_spec(conv_clamp=None),
        tiny_stylegan3_spec(resolution=24, img_channels=1),
    ],
    ids=["T", "R", "labels", "no clamp", "grey, 24 px"],
)
def test_stylegan3_of_nvidia(spec: GeneratorSpec, path: Path) -> None:
    checkpoint = tiny_checkpoint(spec)
    checkpoint.weights["synthesis.input.transform"][:] = [[0, 1, 0.25], [-1, 0, 0], [0, 0, 1]]
    path.write_bytes(to_pickle(stylegan3_snapshot(checkpoint)))
    assert_read(path, checkpoint, SourceFormat.NVIDIA_TORCH)


@pytest.mark.parametrize(
    "spec",
    [
        *(tensorflow_stylegan1(LabelInput.CONCAT, lod=0.5), rosinality_stylegan1()),
        *(tensorflow_stylegan2(label=LabelInput.EMBED), tiny_stylegan3_spec(radial=True)),
    ],
    ids=["StyleGAN of TensorFlow", "StyleGAN of rosinality", "StyleGAN2", "StyleGAN3"],
)
def test_our_own_file(spec: GeneratorSpec, path: Path) -> None:
    checkpoint = tiny_checkpoint(spec)
    write_safetensors(checkpoint, path)
    assert assert_read(path, checkpoint, SourceFormat.SAFETENSORS).details["format version"] == "2"


def test_our_own_file_of_the_first_version(path: Path) -> None:
    """Of release 0.1.0, which knew StyleGAN2 without a label of another kind, gains and truncation."""
    checkpoint = tiny_checkpoint(tiny_spec(c_dim=3))
    specification = checkpoint.spec.to_json()
    del specification["truncation"]
    for name in ("label", "weight_gain", "activation_gain"):
        del specification["mapping"][name]
    document = json.dumps({"format_version": 1, "specification": specification})
    path.write_bytes(save(dict(checkpoint.weights), {"stylegan-edge": document}))
    assert assert_read(path, checkpoint, SourceFormat.SAFETENSORS).details["format version"] == "1"


def test_what_the_official_shapes_are() -> None:
    """The writer of these tests against the layout of the official files, one variable of each kind."""
    spec = tensorflow_stylegan1(LabelInput.CONCAT)
    assert isinstance(spec.synthesis, StyleGAN1Spec)
    shapes = {name: array.shape for name, array in variables_of(exact_checkpoint(spec)).items()}
    assert shapes["synthesis/4x4/Const/const"] == (1, 6, 4, 4)
    assert shapes["synthesis/8x8/Conv0_up/weight"] == (3, 3, 6, 5)
    assert shapes["synthesis/8x8/Conv0_up/StyleMod/weight"] == (9, 10)
    assert shapes["synthesis/8x8/Conv1/Noise/weight"] == (5,)
    assert shapes["synthesis/ToRGB_lod0/weight"] == (1, 1, 4, 3)
    assert shapes["synthesis/noise5"] == (1, 1, 16, 16)
    assert shapes["mapping/LabelConcat/weight"] == (3, 5)
    assert shapes["mapping/Dense0/weight"] == (12, 8)
    assert shapes["lod"] == shapes["synthesis/lod"] == ()
