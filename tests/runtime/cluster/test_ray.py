"""A real cluster of two replicas: its images, a replica killed under load, and a bundle replaced."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cluster_run import IMAGES, ROOT, RunningCluster, loaded, ray_python, running_cluster
from runtime import Bundle, Generator
from runtime.client import Client
from runtime.cluster.configuration import Deployed, write_configuration
from runtime.cluster.settings import ClusterSettings
from runtime.server.models import ModelSource

PYTHON = ray_python()
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="Ray Serve is not installed: `make test-cluster` installs it in an environment of its own"
)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that can be replaced."""
    path = tmp_path_factory.mktemp("served") / "bundle"
    shutil.copytree(tiny_bundle.path, path)
    return path


def test_ray_reads_the_configuration(tiny_bundle: Bundle, tmp_path: Path) -> None:
    settings = ClusterSettings((ModelSource("faces", tiny_bundle.path),), min_replicas=1, max_replicas=4, gpus=0.5)
    path = write_configuration(settings, tmp_path, Deployed())[1]
    code = (
        "import sys, yaml\nfrom ray.serve.schema import ServeDeploySchema\n"
        "found = ServeDeploySchema.model_validate(yaml.safe_load(open(sys.argv[1])))\n"
        "from runtime.cluster.application import build\n"
        "print(found.http_options.port, build(found.applications[0].args)._bound_deployment.name)"
    )
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-c", code, str(path)], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["8000", "Ingress"], done.stderr


@pytest.fixture(scope="module")
def cluster(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    options = ["--replicas", "2", "--cpus-per-replica", "1", "--backend", "onnxruntime"]
    with running_cluster(bundle, folder, *options, python=PYTHON) as running:
        yield running


def test_two_replicas_draw_what_this_process_draws(cluster: RunningCluster, tiny_bundle: Bundle) -> None:
    expected = Generator.load(tiny_bundle, "onnxruntime", threads=1).generate(range(200), 0.7)
    with Client(cluster.url) as client:
        assert (client.generate(range(200), 0.7) == expected).all()
        with client.stream() as stream:
            assert (np.frombuffer(stream.draw(5, 0.7, format="raw").data, np.uint8) == expected[5].ravel()).all()
    assert len(cluster.drawing(30)) == 2


def test_nothing_is_lost_with_a_replica(cluster: RunningCluster, tiny_bundle: Bundle) -> None:
    """Clients that ask once, 16 at a time, while one of the two is killed."""
    expected = Generator.load(tiny_bundle, "onnxruntime", threads=1).generate(range(IMAGES), 0.7)
    before = cluster.replicas()
    assert len(before) == 2
    with loaded(cluster.url, expected, clients=16) as load:
        time.sleep(1)
        os.kill(before[0], signal.SIGKILL)
        time.sleep(3)
    assert not load.lost
    assert load.wrong == 0
    assert load.answered > 200
    cluster.wait_for_replicas(2)
    assert before[0] not in cluster.replicas()


def test_a_replaced_bundle_reaches_all_replicas(
    cluster: RunningCluster, bundle: Path, conditional_bundle: Bundle
) -> None:
    old, new = bundle.with_name("old"), bundle.with_name("new")
    shutil.copytree(conditional_bundle.path, new)
    os.rename(bundle, old)
    os.rename(new, bundle)
    expected = Generator.load(conditional_bundle, "onnxruntime", threads=1).generate([1], classes=2)
    deadline = time.monotonic() + 20
    with Client(cluster.url) as client:
        while any(client.models()[0].classes != 3 for _ in range(20)):
            assert time.monotonic() < deadline, "a replica still draws the old bundle"
            time.sleep(0.2)
        assert len(cluster.drawing(30)) == 2
        for _ in range(20):
            assert (client.generate([1], classes=2) == expected).all()
