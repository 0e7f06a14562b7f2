"""A client is portable: what `deploy triton` writes for a bundle, the server tells of it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.triton import write_repository
from exporter.triton.models import Ensemble, Model
from runtime.server.inference.interface import Interface
from runtime.server.inference.models import InferenceModels
from tests.runtime.server.running import Running

DATATYPES = {"float32": "FP32", "uint8": "UINT8"}


@pytest.mark.parametrize("name", ["tiny", "classes", "turned", "mixing"])
def test_models_and_tensors(served: Running, tmp_path: Path, name: str) -> None:
    models = InferenceModels(served.service)
    with models.use(name) as (model, whole):
        repository = write_repository(model.generator.bundle, tmp_path / "models", name)
    assert repository.ensemble.name == whole.name
    assert {item.name for item in repository.models} - {f"{name}_truncation"} < set(models.names)
    every: tuple[Model | Ensemble, ...] = (*repository.models, repository.ensemble)
    for written in every:
        if written.name == f"{name}_truncation":  # a step between the two, which here is none of its own
            continue
        with models.use(written.name) as (_, interface):
            assert described(interface)[: len(written.inputs)] == [
                (item.name, DATATYPES[item.dtype], item.dims) for item in written.inputs
            ]
            assert [(item.name, item.datatype, item.dims) for item in interface.outputs] == [
                (item.name, DATATYPES[item.dtype], item.dims) for item in written.outputs
            ]
            assert all(item.optional for item in interface.inputs[len(written.inputs) :])


def described(interface: Interface) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(item.name, item.datatype, item.dims) for item in interface.inputs]
