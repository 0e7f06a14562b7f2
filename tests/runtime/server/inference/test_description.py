"""What the server tells of itself and its models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime import Bundle
from runtime.errors import InputError
from runtime.server.app import create_app
from runtime.server.models import ModelSource
from runtime.server.settings import Settings
from tests.runtime.server.inference.asking import Asker
from tests.runtime.server.running import Running, running

NAMES = [f"{name}{part}" for name in ("tiny", "classes", "turned", "mixing") for part in ("", "_mapping", "_synthesis")]


def tensor(name: str, *shape: int, datatype: str = "FP32") -> tuple[str, str, list[int]]:
    return name, datatype, list(shape)


NOISE = [tensor(f"noise_{index:02d}", -1, 1, side, side) for index, side in enumerate([4, 8, 8, 16, 16])]
IMAGES = [tensor("image", -1, 3, 16, 16), tensor("pixels", -1, 16, 16, 3, datatype="UINT8")]
PSI, SEED = tensor("psi", -1, 6), tensor("seed", -1, 1, datatype="INT64")
MODELS = {
    "tiny": [tensor("z", -1, 7), PSI, SEED, *NOISE],
    "tiny_mapping": [tensor("z", -1, 7)],
    "tiny_synthesis": [tensor("styles", -1, 6, 9), *NOISE],
    "classes": [tensor("z", -1, 7), tensor("c", -1, 3), PSI, SEED, *NOISE],
    "classes_mapping": [tensor("z", -1, 7), tensor("c", -1, 3)],
    "mixing": [tensor("z", -1, 7), tensor("z_1", -1, 7), PSI, tensor("seed", -1, 2, datatype="INT64"), *NOISE],
    "mixing_synthesis": [tensor("styles", -1, 2, 9), *NOISE],
}


def listed(tensors: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    return [(item["name"], item["datatype"], [int(size) for size in item["shape"]]) for item in tensors]


def test_the_server(asker: Asker) -> None:
    assert asker.client.is_server_live()
    assert asker.client.is_server_ready()
    told = asker.plain(asker.client.get_server_metadata())
    assert told["name"] == "stylegan-edge"
    assert told["version"]
    assert "binary_tensor_data" in told["extensions"]


@pytest.mark.parametrize("version", ["", "1"])
def test_readiness(asker: Asker, version: str) -> None:
    assert all(asker.client.is_model_ready(name, version) for name in NAMES)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_takes_and_gives(asker: Asker, name: str) -> None:
    told = asker.plain(asker.client.get_model_metadata(name, "1"))
    assert (told["name"], told["versions"], told["platform"]) == (name, ["1"], "onnxruntime_onnx")
    assert listed(told["inputs"]) == MODELS[name]
    expected = [tensor("w", -1, 9)] if name.endswith("_mapping") else IMAGES
    assert sorted(listed(told["outputs"])) == expected


def test_a_transform(asker: Asker) -> None:
    told = asker.plain(asker.client.get_model_metadata("turned"))
    assert listed(told["inputs"])[-1] == tensor("transform", -1, 3, 3)


def test_the_configuration(asker: Asker) -> None:
    told = asker.plain(asker.client.get_model_config("tiny_synthesis"))
    config = told.get("config", told)
    assert config["max_batch_size"] == 64
    assert config["version_policy"] == {"specific": {"versions": ["1"] if asker.is_grpc else [1]}}
    styles, *noise = config["input"]
    assert (styles["name"], styles["data_type"]) == ("styles", "TYPE_FP32")
    assert [int(size) for size in styles["dims"]] == [6, 9]
    assert not styles["optional"]
    assert len(noise) == 5
    assert all(item["optional"] for item in noise)
    assert [item["data_type"] for item in sorted(config["output"], key=lambda item: item["name"])] == [
        "TYPE_FP32",
        "TYPE_UINT8",
    ]
    assert [item["kind"] for item in config["instance_group"]] == ["KIND_CPU"]


def test_the_repository(asker: Asker) -> None:
    told = asker.plain(asker.client.get_model_repository_index())
    models = told["models"] if asker.is_grpc else told
    assert [item["name"] for item in models] == NAMES
    assert {(item["version"], item["state"], item["reason"]) for item in models} == {("1", "READY", "")}


def test_statistics(asker: Asker, tiny_bundle: Bundle) -> None:
    def stats() -> dict[str, Any]:
        told = asker.plain(asker.client.get_inference_statistics("turned", "1"))
        (model,) = told["model_stats"]
        return dict(model)

    def of(model: dict[str, Any], stage: str) -> tuple[int, int]:
        return int(model["inference_stats"][stage]["count"]), int(model["inference_stats"][stage]["ns"])

    before = stats()
    asker.infer("turned", {"seed": np.array([[1], [2], [3]])})
    after = stats()
    assert int(after["inference_count"]) == int(before["inference_count"]) + 3
    assert int(after["execution_count"]) == int(before["execution_count"]) + 1
    assert int(after["last_inference"]) > int(before["last_inference"]) - 1
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert of(after, stage)[0] == of(before, stage)[0] + 1
        assert of(after, stage)[1] > of(before, stage)[1]
    assert of(after, "success")[1] >= of(after, "compute_infer")[1]
    sizes = {int(item["batch_size"]): int(item["compute_infer"]["count"]) for item in after["batch_stats"]}
    assert sizes[3] >= 1
    with pytest.raises(asker.module.InferenceServerException):
        asker.infer("turned", {"seed": np.array([[-1]])})
    assert of(stats(), "fail")[0] == of(after, "fail")[0] + 1
    every = asker.plain(asker.client.get_inference_statistics())["model_stats"]
    assert [item["name"] for item in every] == NAMES


def test_names_that_meet(tiny_bundle: Bundle) -> None:
    sources = [ModelSource(name, tiny_bundle.path, threads=1) for name in ("a_mapping", "a")]
    with pytest.raises(InputError, match="bundles a_mapping and a both make a model called a_mapping: name one"):
        create_app(Settings(tuple(sources)))


def test_a_lost_device_is_told(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}) as server:
        worker = server.service.worker("cpu")
        worker._failures = 1000  # as after so many batches that failed
        for path, told in (("/v2/health/ready", {}), ("/v2/models/tiny/ready", {"name": "tiny"})):
            answer = server.client.get(path)
            assert answer.status_code == 503
            assert answer.json() == {**told, "ready": False, "error": "drawing on cpu fails"}
        (state,) = {(item["state"], item["reason"]) for item in server.client.post("/v2/repository/index").json()}
        assert state == ("UNAVAILABLE", "drawing on cpu fails")
        assert server.client.post("/v2/repository/index", json={"ready": True}).json() == []
        assert server.client.get("/v2/health/live").json() == {"live": True}


def test_health_needs_no_token_and_all_else_does(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, tokens=frozenset({"secret"})) as server:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert server.client.get(path).status_code == 200
        for path in ("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/models/stats"):
            assert server.client.get(path).status_code == 401
            assert server.client.get(path, headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_metrics_count(served: Running, http: Asker) -> None:
    def drawn() -> float:
        found = [
            line for line in served.client.get("/metrics").text.splitlines() if 'images_total{model="tiny"}' in line
        ]
        return float(found[0].split()[-1]) if found else 0.0

    before = drawn()
    http.infer("tiny", {"seed": np.array([[1], [2]])})
    http.infer("tiny_mapping", {"z": np.zeros((1, 7), np.float32)})
    assert drawn() == before + 2
