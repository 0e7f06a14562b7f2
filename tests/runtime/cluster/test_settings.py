"""How a cluster is described, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from runtime import Bundle
from runtime.cluster.settings import ClusterSettings
from runtime.errors import BundleError, InputError
from runtime.server.limits import Limits
from runtime.server.models import ModelSource
from runtime.server.tokens import TOKENS_VARIABLE

SOURCE = ModelSource("faces", Path("/bundles/faces"), precision="fp16", max_batch=8)


def test_settings_come_back_from_json() -> None:
    settings = ClusterSettings((SOURCE,), Limits(max_queue=9), 0.01, 5.0, 2, 8, gpus=0.5, cpus=2, version="abc")
    document = json.loads(json.dumps(settings.document()))
    assert ClusterSettings.of(document) == settings
    assert document["limits"] == {"max_queue": 9}


def test_a_replica_draws_with_the_cores_it_reserves_on_the_gpu_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENS_VARIABLE, "one two")
    source = dataclasses.replace(SOURCE, gpu=3)
    served = ClusterSettings((source,), cpus=2.5, gpus=1).server
    assert (served.sources[0].threads, served.sources[0].gpu) == (2, 0)
    assert served.tokens == {"one", "two"}
    assert ClusterSettings((source,), cpus=0.2).server.sources[0].threads == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_replicas": 0}, "replicas are 0 to 1"),
        ({"min_replicas": 3, "max_replicas": 2}, "replicas are 3 to 2"),
        ({"gpus": -1.0}, "-1 GPUs a replica"),
        ({"gpus": 1.5}, "1.5 GPUs a replica, expected a fraction of one, or a whole number"),
        ({"cpus": 0.0}, "0 cores a replica"),
        ({"target_ongoing": 0}, "1 or more"),
        ({"sources": ()}, "no bundle given"),
    ],
)
def test_what_makes_no_cluster(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClusterSettings(**({"sources": (SOURCE,)} | changes))


@pytest.mark.parametrize("document", [{}, {"sources": [{}]}, {"sources": [{"path": "x", "name": "y"}], "colour": 1}])
def test_arguments_of_another_release(document: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="write the configuration anew"):
        ClusterSettings.of(document)


def test_a_version_tells_bundles_apart(tiny_bundle: Bundle, conditional_bundle: Bundle, tmp_path: Path) -> None:
    versions = [
        ClusterSettings((ModelSource("a", bundle.path),)).versioned().version
        for bundle in (tiny_bundle, conditional_bundle, tiny_bundle)
    ]
    assert versions[0] == versions[2] != versions[1]
    with pytest.raises(BundleError):
        ClusterSettings((ModelSource("a", tmp_path),)).versioned()
