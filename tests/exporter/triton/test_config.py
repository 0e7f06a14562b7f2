"""Configurations, read by Triton's own message definitions and held against the graphs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

from exporter.triton import write_repository
from exporter.triton.pbtxt import Field, Word, field, render
from runtime import Bundle
from runtime.generator import default_batch
from tests.exporter.triton.bundles import KINDS, MAX_BATCH

text_format = pytest.importorskip("google.protobuf.text_format")
model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
PARTS = ("mapping", "truncation", "synthesis")
TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.UINT8: "TYPE_UINT8"}

Interface = dict[str, tuple[str, list[int]]]


def read(repository: Path, name: str) -> Any:
    text = (repository / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config.ModelConfig())


def interface(tensors: Any) -> Interface:
    return {item.name: (model_config.DataType.Name(item.data_type), list(item.dims)) for item in tensors}


def graph_interface(values: Any) -> Interface:
    """What a graph takes or gives, without the batch, which must be free."""
    found = {}
    for value in values:
        kind = value.type.tensor_type
        batch, *sizes = kind.shape.dim
        assert batch.dim_param
        found[value.name] = (TYPES[kind.elem_type], [size.dim_value for size in sizes])
    return found


@pytest.mark.parametrize("name", KINDS)
def test_each_model_is_what_its_graph_is(name: str, repository: Path) -> None:
    for part in PARTS:
        config = read(repository, f"{name}_{part}")
        graph = onnx.load(str(repository / config.name / "1" / config.default_model_filename)).graph
        assert interface(config.input) == graph_interface(graph.input)
        assert interface(config.output) == graph_interface(graph.output)
        assert (config.name, config.backend, config.platform) == (f"{name}_{part}", "onnxruntime", "onnxruntime_onnx")


@pytest.mark.parametrize("name", KINDS)
def test_models_batch_at_once_and_are_warm_before_they_are_ready(name: str, repository: Path) -> None:
    for part in PARTS:
        config = read(repository, f"{name}_{part}")
        assert config.max_batch_size == MAX_BATCH
        assert list(config.dynamic_batching.preferred_batch_size) == [MAX_BATCH]
        assert config.dynamic_batching.max_queue_delay_microseconds == 0
        (group,) = config.instance_group
        assert group.kind == model_config.ModelInstanceGroup.KIND_AUTO
        assert [item.batch_size for item in config.model_warmup] == [1, MAX_BATCH]
        for sample in config.model_warmup:
            warmed = {
                key: (model_config.DataType.Name(item.data_type), list(item.dims))
                for key, item in sample.inputs.items()
            }
            assert warmed == interface(config.input)
            assert all(item.zero_data for item in sample.inputs.values())


@pytest.mark.parametrize("name", KINDS)
def test_an_ensemble_gives_every_step_what_it_takes(name: str, repository: Path, bundles: Mapping[str, Bundle]) -> None:
    config, spec = read(repository, name), bundles[name].spec
    latents = bundles[name].manifest.options.latents_per_image
    assert (config.platform, config.max_batch_size) == ("ensemble", MAX_BATCH)
    known = interface(config.input)
    assert list(known) == ["z", "z_1", "z_2"][:latents] + ["c"] * bool(spec.c_dim) + ["psi"]
    steps = config.ensemble_scheduling.step
    assert [step.model_name for step in steps] == [
        *[f"{name}_mapping"] * latents,
        f"{name}_truncation",
        f"{name}_synthesis",
    ]
    for step in steps:
        model = read(repository, step.model_name)
        taken, given = interface(model.input), interface(model.output)
        assert {own: known[outer] for own, outer in step.input_map.items()} == taken
        assert not set(step.output_map.values()) & set(known), "made twice"
        known |= {outer: given[own] for own, outer in step.output_map.items()}
    made = interface(config.output)
    size, channels = spec.resolution, spec.img_channels
    assert made == {"image": ("TYPE_FP32", [channels, size, size]), "pixels": ("TYPE_UINT8", [size, size, channels])}
    assert {key: known[key] for key in made} == made


@pytest.mark.parametrize("name", KINDS)
def test_every_model_has_the_one_version(name: str, repository: Path) -> None:
    for model in (name, *(f"{name}_{part}" for part in PARTS)):
        assert list(read(repository, model).version_policy.specific.versions) == [1]
        assert [item.name for item in (repository / model).iterdir() if item.is_dir()] == ["1"]
        assert any((repository / model / "1").iterdir()), "object stores lose empty folders"


def test_the_largest_batch_is_the_generators_own_unless_told(tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_repository(tiny_bundle, tmp_path / "models", "avatars")
    for model in ("avatars", *(f"avatars_{part}" for part in PARTS)):
        assert read(tmp_path / "models", model).max_batch_size == default_batch(tiny_bundle.spec)


def test_one_image_at_once_is_warmed_once(tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_repository(tiny_bundle, tmp_path / "models", "avatars", max_batch=1)
    config = read(tmp_path / "models", "avatars_synthesis")
    assert [item.batch_size for item in config.model_warmup] == [1]


def test_text_format_quotes_what_has_to_be() -> None:
    message = (
        Field("name", 'a "b" \\'),
        Field("max_batch_size", 3),
        field("instance_group", Field("kind", Word("KIND_CPU")), Field("gpus", [1, 2]), Field("passive", True)),
    )
    config = text_format.Parse(render(message), model_config.ModelConfig())
    assert (config.name, config.max_batch_size) == ('a "b" \\', 3)
    (group,) = config.instance_group
    assert (group.kind, list(group.gpus), group.passive) == (model_config.ModelInstanceGroup.KIND_CPU, [1, 2], True)
