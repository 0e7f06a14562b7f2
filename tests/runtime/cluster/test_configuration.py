"""The files that deploy a cluster, held against the structure that Ray Serve and KubeRay read."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runtime import Bundle
from runtime.cluster.configuration import FILES, Deployed, kuberay_document, write_configuration
from runtime.cluster.environment import ENVIRONMENT
from runtime.cluster.settings import ClusterSettings
from runtime.errors import InputError, OutputError
from runtime.server.models import ModelSource
from stylegan_edge.cli import run
from tests.cli.conftest import listing

QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[KMGTPE]i?)?$"}
TEXT = {"type": "string"}
AMOUNTS = {"type": "object", "additionalProperties": QUANTITY, "required": ["cpu", "memory"]}


def strict(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object of these fields alone: the operator drops others without a word."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def some(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


SECRET_REFERENCE = strict({"secretKeyRef": strict({"name": TEXT, "key": TEXT}, {"optional": {"type": "boolean"}})})
CONTAINER = strict(
    {
        "name": TEXT,
        "image": TEXT,
        "ports": some(strict({"containerPort": {"type": "integer", "minimum": 1, "maximum": 65535}, "name": TEXT})),
        "env": some(
            {"oneOf": [strict({"name": TEXT, "value": TEXT}), strict({"name": TEXT, "valueFrom": SECRET_REFERENCE})]}
        ),
        "resources": strict({"limits": AMOUNTS, "requests": AMOUNTS}),
        "volumeMounts": some(strict({"name": TEXT, "mountPath": TEXT}, {"readOnly": {"type": "boolean"}})),
    }
)
CLAIM = strict({"claimName": TEXT}, {"readOnly": {"type": "boolean"}})
POD = strict(
    {
        "spec": strict(
            {"containers": some(CONTAINER), "volumes": some(strict({"name": TEXT, "persistentVolumeClaim": CLAIM}))},
            {"terminationGracePeriodSeconds": {"type": "integer"}},
        )
    }
)
START = {"type": "object", "additionalProperties": TEXT}
COUNT = {"type": "integer", "minimum": 0}
RAY_SERVICE = strict(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayService"},
        "metadata": strict({"name": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,46}$"}}),
        "spec": strict(
            {
                "serveConfigV2": TEXT,
                "rayClusterConfig": strict(
                    {
                        "headGroupSpec": strict({"template": POD, "rayStartParams": START}),
                        "workerGroupSpecs": some(
                            strict(
                                {
                                    "groupName": TEXT,
                                    "replicas": COUNT,
                                    "minReplicas": COUNT,
                                    "maxReplicas": COUNT,
                                    "template": POD,
                                    "rayStartParams": START,
                                }
                            )
                        ),
                    },
                    {"rayVersion": TEXT, "enableInTreeAutoscaling": {"type": "boolean"}},
                ),
            }
        ),
    }
)
"""The fields that are written, as the operator's definition of a RayService, ray.io/v1, names, types and requires them
(kuberay, helm-chart/kuberay-operator/crds/ray.io_rayservices.yaml), and none that it does not know."""


def test_three_files_that_agree(tiny_bundle: Bundle, tmp_path: Path) -> None:
    settings = ClusterSettings((ModelSource("faces", tiny_bundle.path),), min_replicas=2, max_replicas=4)
    paths = write_configuration(settings, tmp_path / "new" / "cluster", Deployed(port=9000))
    assert [path.name for path in paths] == list(FILES)
    app, serve, kuberay = (path.read_text() for path in paths)
    document = settings.versioned().document()
    (written,) = [node for node in ast.walk(ast.parse(app)) if isinstance(node, ast.Assign)]
    assert isinstance(written.value, ast.Call)
    assert yaml.safe_load(ast.literal_eval(written.value.args[0])) == document
    loaded = yaml.safe_load(serve)
    assert loaded["applications"][0]["args"] == document
    assert loaded["http_options"]["port"] == 9000
    module, name = loaded["applications"][0]["import_path"].split(":")
    source = Path(__file__).parents[3].joinpath(*module.split(".")).with_suffix(".py").read_text()
    assert name in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    inside = yaml.safe_load(yaml.safe_load(kuberay)["spec"]["serveConfigV2"])["applications"][0]["args"]
    assert inside["sources"][0]["path"] == f"/bundles/{tiny_bundle.path.name}"
    assert {**inside, "sources": None} == {**document, "sources": None}
    for name, value in ENVIRONMENT.items():
        assert f"export {name}='{value}'" in serve


@pytest.mark.parametrize(
    ("settings", "pods", "gpus"),
    [
        ({"max_replicas": 8}, (2, 8), None),
        ({"max_replicas": 8, "gpus": 1.0}, (2, 8), "1"),
        ({"min_replicas": 6, "max_replicas": 12, "gpus": 0.5}, (3, 6), "1"),
        ({"min_replicas": 4, "max_replicas": 4, "gpus": 2.0}, (4, 4), "2"),
        ({"min_replicas": 1, "max_replicas": 1, "ingress_replicas": 1}, (1, 1), None),
    ],
)
def test_the_manifest_is_one_that_the_operator_reads(
    tiny_bundle: Bundle, settings: dict[str, Any], pods: tuple[int, int], gpus: str | None
) -> None:
    cluster = ClusterSettings((ModelSource("faces", tiny_bundle.path),), **settings)
    manifest = kuberay_document(cluster, Deployed(image="registry.example/edge:1"))
    jsonschema.validate(manifest, RAY_SERVICE)
    config = manifest["spec"]["rayClusterConfig"]
    (group,) = config["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"]) == pods
    assert config["enableInTreeAutoscaling"] == (cluster.min_replicas < cluster.max_replicas)
    containers = [spec["template"]["spec"]["containers"][0] for spec in (config["headGroupSpec"], group)]
    assert containers[1]["resources"]["limits"].get("nvidia.com/gpu") == gpus
    for container in containers:
        assert {item["name"]: item.get("value") for item in container["env"]}.items() >= ENVIRONMENT.items()
        assert container["image"] == "registry.example/edge:1"


def test_the_schema_refuses_what_the_operator_would_drop(tiny_bundle: Bundle) -> None:
    manifest = kuberay_document(ClusterSettings((ModelSource("faces", tiny_bundle.path),)), Deployed())
    manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplica"] = 4
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(manifest, RAY_SERVICE)


def test_existing_files_stay(tiny_bundle: Bundle, tmp_path: Path) -> None:
    settings = ClusterSettings((ModelSource("faces", tiny_bundle.path),))
    (tmp_path / "kuberay.yaml").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_configuration(settings, tmp_path, Deployed())
    assert list(listing(tmp_path)) == ["kuberay.yaml"]
    write_configuration(settings, tmp_path, Deployed(), overwrite=True)
    assert (tmp_path / "kuberay.yaml").read_text() != "mine"


def test_the_command_writes_them(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--replicas 1,4 --gpus-per-replica 0.5 --cpus-per-replica 2 --max-batch 8 --max-wait-ms 5 --backend auto"
    command = ["deploy", "ray", f"faces={tiny_bundle.path}", "-o", str(tmp_path / "out"), *options.split()]
    assert run(command) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name) for name in FILES]
    written = yaml.safe_load((tmp_path / "out" / "serve.yaml").read_text())["applications"][0]["args"]
    assert written["sources"][0]["name"] == "faces"
    assert (written["max_replicas"], written["gpus"], written["max_wait"]) == (4, 0.5, 0.005)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "nothing to do: give -o DIR"),
        ("-o out --replicas 4,1", "replicas are 4 to 1"),
        ("-o out --replicas some", "is not a number of replicas"),
        ("-o out --gpus-per-replica 1.5", "1.5 GPUs a replica"),
        ("-o out --cpus-per-replica 0", "0"),
        ("-o out --port 70000", "70000"),
    ],
)
def test_what_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    command = ["deploy", "ray", str(tiny_bundle.path), *options.replace("out", str(tmp_path / "out")).split()]
    assert run(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert listing(tmp_path) == {}


def test_ray_is_needed_to_run_alone(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["deploy", "ray", str(tiny_bundle.path), "--run"]) == 2
    assert "ray is not installed" in (error := capsys.readouterr().err)
    assert "pip install 'stylegan-edge[ray]'" in error


def test_a_folder_that_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "ray", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "manifest" in capsys.readouterr().err


def test_a_port_that_is_none() -> None:
    with pytest.raises(InputError, match="port 0"):
        Deployed(port=0)
