"""Files that deploy a cluster: for Python, for `serve deploy`, and for Kubernetes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.cluster.environment import ENVIRONMENT
from runtime.cluster.running import NAME
from runtime.cluster.settings import INGRESS_CPUS, ClusterSettings
from runtime.errors import InputError
from runtime.extras import require
from runtime.output import staged_files
from runtime.server.tokens import TOKENS_VARIABLE

FILES = ("app.py", "serve.yaml", "kuberay.yaml")
RAY_VERSION = "2.60.0"
"""What this was tried with; the image must hold the same."""
IMAGE = "stylegan-edge-ray:latest"
"""Unless another is named: one that docs/cluster.md says how to build."""
BUNDLES_FOLDER = Path("/bundles")
"""Where pods find the bundles: a volume of many readers."""
VOLUME = "bundles"
"""Of the pods, and the name of the claim that it is."""
SECRET, SECRET_KEY = "stylegan-edge-tokens", "tokens"
"""The Kubernetes secret that holds the bearer tokens, where there is one."""
REPLICA_MEMORY_GIB = 4
"""Of a replica, to begin with: what a bundle takes depends on its size, precision and batch."""
HEAD_CPUS, HEAD_MEMORY_GIB = 2, 8
"""Of the head, which draws nothing, to begin with."""
POD_DRAIN_SECONDS = 120
"""Until Kubernetes kills a pod that was told to end: more than a request takes."""


@dataclass(frozen=True)
class Deployed:
    """Where the application is reached."""

    host: str = "127.0.0.1"
    port: int = 8000
    image: str = IMAGE

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise InputError(f"port {self.port} is out of range, expected 1 to 65535")


def write_configuration(
    settings: ClusterSettings, folder: Path, deployed: Deployed, overwrite: bool = False
) -> list[Path]:
    """Write the three files, all or none. Raises OutputError, and BundleError where a bundle is none."""
    known = settings.versioned()
    paths = [folder / name for name in FILES]
    texts = [
        app_file(known, deployed),
        _yaml(serve_document(known, "0.0.0.0", deployed.port), _SERVE_HEAD),  # noqa: S104
        _yaml(kuberay_document(known, deployed), _KUBERAY_HEAD),
    ]
    with staged_files(paths, overwrite) as write:
        for path, text in zip(paths, texts):
            write(path, text.encode())
    return paths


def app_file(settings: ClusterSettings, deployed: Deployed) -> str:
    """A Python program that serves it here, or in the cluster that RAY_ADDRESS names."""
    return _APP.format(
        settings=json.dumps(settings.document(), indent=1),
        host=deployed.host,
        port=deployed.port,
    )


def serve_document(settings: ClusterSettings, host: str, port: int) -> dict[str, Any]:
    """The configuration that `serve deploy` and KubeRay take."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": host, "port": port},
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": "runtime.cluster.application:build",
                "args": settings.document(),
            }
        ],
    }


def kuberay_document(settings: ClusterSettings, deployed: Deployed) -> dict[str, Any]:
    """A RayService, of KubeRay's ray.io/v1: a head that draws nothing, and a pod a GPU, or a replica without."""
    inside = serve_document(settings.moved(BUNDLES_FOLDER), "0.0.0.0", deployed.port)  # noqa: S104
    scales = settings.min_replicas < settings.max_replicas
    smallest, largest = (_pods(settings, count) for count in (settings.min_replicas, settings.max_replicas))
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME},
        "spec": {
            "serveConfigV2": _yaml(inside, ""),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "enableInTreeAutoscaling": scales,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
                    "template": _pod("ray-head", deployed, _resources(HEAD_CPUS, HEAD_MEMORY_GIB, 0)),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "replicas",
                        "replicas": smallest,
                        "minReplicas": smallest,
                        "maxReplicas": largest,
                        "rayStartParams": {},
                        "template": _pod("ray-worker", deployed, _worker_resources(settings)),
                    }
                ],
            },
        },
    }


def _replicas_a_pod(settings: ClusterSettings) -> int:
    """Those that share a GPU share a pod."""
    return max(1, int(1 / settings.gpus)) if 0 < settings.gpus <= 1 else 1


def _pods(settings: ClusterSettings, replicas: int) -> int:
    """For that many replicas; at least two, so that the ingress outlives a machine."""
    return max(min(settings.ingress_replicas, 2), math.ceil(replicas / _replicas_a_pod(settings)))


def _worker_resources(settings: ClusterSettings) -> dict[str, Any]:
    share = _replicas_a_pod(settings)
    cpus = math.ceil(share * settings.cpus + settings.ingress_replicas * INGRESS_CPUS)
    return _resources(cpus, share * REPLICA_MEMORY_GIB, math.ceil(settings.gpus))


def _resources(cpus: int, gibibytes: int, gpus: int) -> dict[str, Any]:
    amounts = {"cpu": str(cpus), "memory": f"{gibibytes}Gi"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {"limits": amounts, "requests": dict(amounts)}


def _pod(name: str, deployed: Deployed, resources: dict[str, Any]) -> dict[str, Any]:
    secret = {"secretKeyRef": {"name": SECRET, "key": SECRET_KEY, "optional": True}}
    variables = [{"name": key, "value": value} for key, value in ENVIRONMENT.items()]
    container = {
        "name": name,
        "image": deployed.image,
        "ports": [{"containerPort": deployed.port, "name": "serve"}],
        "env": [*variables, {"name": TOKENS_VARIABLE, "valueFrom": secret}],
        "resources": resources,
        "volumeMounts": [{"name": VOLUME, "mountPath": str(BUNDLES_FOLDER), "readOnly": True}],
    }
    claim = {"claimName": VOLUME, "readOnly": True}
    volumes = [{"name": VOLUME, "persistentVolumeClaim": claim}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": POD_DRAIN_SECONDS}
    return {"spec": spec}


def _yaml(document: dict[str, Any], head: str) -> str:
    yaml: Any = require("yaml")

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Texts of several lines as they are; no references to what stands twice."""

        def ignore_aliases(self, _: Any) -> bool:
            return True

    Dumper.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
        ),
    )
    return head + str(yaml.dump(document, Dumper=Dumper, sort_keys=False, width=120))


_APP = '''"""The application that 'stylegan-edge deploy ray' wrote.

    python app.py

serves it on this machine until it is told to end, or in the cluster that RAY_ADDRESS names.
"""

import json

from runtime.cluster.running import run
from runtime.cluster.settings import ClusterSettings

SETTINGS = json.loads(
    r"""
{settings}
"""
)

if __name__ == "__main__":
    run(
        ClusterSettings.of(SETTINGS),
        host="{host}",
        port={port},
        ready=lambda address: print("Serving at", address, flush=True),
    )
'''
_SERVE_HEAD = (
    "# Written by 'stylegan-edge deploy ray'. Start Ray on every machine with these variables, then: serve deploy "
    "serve.yaml\n" + "".join(f"#   export {name}='{value}'\n" for name, value in ENVIRONMENT.items())
)
_KUBERAY_HEAD = (
    "# Written by 'stylegan-edge deploy ray', for the KubeRay operator: kubectl apply -f kuberay.yaml\n"
    f"# The claim {VOLUME!r} is a volume that all pods read; each bundle is a folder in it. The secret {SECRET!r},\n"
    f"# key {SECRET_KEY!r}, holds bearer tokens, separated by spaces; without it, everybody is let in.\n"
)
