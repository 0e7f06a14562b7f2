"""What a server says of itself."""

from __future__ import annotations

import io
import json
import logging
import re

import jsonschema
import pytest

from runtime.server.logs import log_as_json
from tests.runtime.server.running import Running


def test_models_are_described(server: Running) -> None:
    models = {item["name"]: item for item in server.client.get("/v1/models").json()["models"]}
    assert list(models) == ["tiny", "classes", "cutoff", "turned"]
    tiny = models["tiny"]
    assert (tiny["generation"], tiny["resolution"], tiny["backend"], tiny["device"]) == (
        "stylegan2",
        16,
        "onnxruntime",
        "cpu",
    )
    assert tiny["layer_groups"] == {"coarse": [0, 1, 2, 3], "middle": [4, 5], "fine": []}
    assert models["classes"]["classes"] == 3
    assert models["cutoff"]["default_cutoff"] == 2
    assert models["turned"]["takes_transform"]
    assert [row for rows in models["turned"]["layer_groups"].values() for row in rows] == list(
        range(models["turned"]["num_ws"])
    )


def test_figures_count_what_was_done(server: Running) -> None:
    def figure(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    names = [
        'stylegan_edge_images_total{model="tiny"}',
        'stylegan_edge_requests_total{route="/v1/generate",status="200"}',
        'stylegan_edge_requests_total{route="/v1/generate",status="400"}',
        'stylegan_edge_errors_total{error="InputError"}',
        'stylegan_edge_batch_size_sum{device="cpu"}',
        'stylegan_edge_latency_seconds_count{stage="queue"}',
        'stylegan_edge_latency_seconds_count{stage="encode"}',
    ]
    before = [figure(name) for name in names]
    assert server.generate(model="tiny", seeds="1-3").status_code == 200
    assert server.generate(model="tiny", seed=1, cutoff=99).status_code == 400
    assert [figure(name) - earlier for name, earlier in zip(names, before)] == [3, 1, 1, 1, 3, 3, 1]
    assert figure('stylegan_edge_queue_depth{device="cpu"}') == 0


def test_the_log_is_json_with_the_requests_id(server: Running) -> None:
    stream = io.StringIO()
    loggers = [logging.getLogger(name) for name in (None, "runtime.server", "uvicorn", "uvicorn.access")]
    kept = [(logger.handlers[:], logger.level, logger.disabled) for logger in loggers]
    try:
        log_as_json(stream)
        server.client.get("/v1/models", headers={"x-request-id": "mine-7"})
    finally:
        for logger, (handlers, level, disabled) in zip(loggers, kept):
            logger.handlers[:], logger.disabled = handlers, disabled
            logger.setLevel(level)
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert line["request_id"] == "mine-7"
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/v1/models", 200, "info")
    assert line["ms"] > 0


def test_the_openapi_document_describes_what_is_answered(server: Running) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method in methods:
            answer = server.client.request(method, re.sub(r"{suffix}", "png", path.replace("{seed}", "1")))
            assert answer.status_code not in (404, 405, 500), path


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/mix"])
def test_its_examples_are_valid_and_run(server: Running, path: str) -> None:
    document = server.client.get("/openapi.json").json()
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    for name, example in content["examples"].items():
        jsonschema.validate(example["value"], schema)
        answer = server.client.post(path, json={"model": "tiny", **example["value"]})
        assert answer.status_code == 200, (name, answer.text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"seed": -1, "rows": -1}, schema)
