"""One of three emulated nodes killed under load: `unshare -n` starts this, with Ray's Python, in a network of its own.

Half of the clients ask once, half as `runtime.client.Client` does. Prints one JSON line. `benchmarks.cluster` calls it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NODES = 3
NODE_CPUS = 3
"""Two nodes hold three replicas and the ingress as well."""
PORT = 18700
BEFORE_SECONDS, AFTER_SECONDS = 3.0, 8.0
CLIENTS = 16


def main(bundle: Path) -> None:
    """Start three nodes and the application, kill a node under load, print what became of the requests."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    from runtime.cluster.environment import ALONE, ENVIRONMENT

    os.environ.update(ENVIRONMENT | ALONE | {"RAY_AUTH_MODE": "disabled"})
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    from benchmarks.cluster_run import IMAGES, loaded
    from runtime import Generator
    from runtime.client.retrying import RETRIES
    from runtime.cluster.application import build
    from runtime.cluster.settings import ClusterSettings
    from runtime.server.models import ModelSource

    expected = Generator.load(bundle, threads=1).generate(range(IMAGES), 0.7)
    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": NODE_CPUS, "include_dashboard": False})
    others = [cluster.add_node(num_cpus=NODE_CPUS) for _ in range(NODES - 1)]
    ray.init(address=cluster.address, logging_level="error", log_to_driver=False)
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": PORT})
    source = ModelSource("bundle", bundle, threads=1)
    settings = ClusterSettings((source,), min_replicas=NODES, max_replicas=NODES)
    serve.run(build(settings.document()), name="stylegan-edge")
    placed = _placed()
    url = f"http://127.0.0.1:{PORT}"
    with loaded(url, expected, CLIENTS // 2) as once, loaded(url, expected, CLIENTS // 2, retries=RETRIES) as load:
        time.sleep(BEFORE_SECONDS)
        killed = others[-1].node_id
        cluster.remove_node(others[-1], allow_graceful=False)
        time.sleep(AFTER_SECONDS)
    start = time.monotonic()
    while sum(kind == "Replica" for kind, _ in _placed()) < NODES and time.monotonic() - start < 30:
        time.sleep(0.1)
    there = sum(kind == "Replica" for kind, _ in _placed())
    outcome = {
        "answered": load.answered,
        "lost": dict(load.lost),
        "wrong": load.wrong,
        "slowest": round(load.slowest, 2),
        "answered_once": once.answered,
        "lost_once": dict(once.lost),
        "killed_with_it": sorted(kind for kind, node in placed if node == killed),
        "replicas_after": there,
    }
    print(json.dumps(outcome), flush=True)
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


def _placed() -> list[tuple[str, str]]:
    """What kind of replica runs on which node."""
    from ray._private.state import actors  # the public list needs the dashboard

    alive = [actor for actor in actors().values() if actor["State"] == "ALIVE"]
    kinds = [(actor["ActorClassName"].rpartition(":")[2], actor["Address"]["NodeID"]) for actor in alive]
    return [(kind, node) for kind, node in kinds if kind in ("Replica", "Ingress")]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
