"""The examples of docs/inference-protocol.md run, and do what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import load_checkpoint
from runtime import Bundle, Generator
from tests.conftest import export
from tests.runtime.server.inference.grpc_running import grpc_running
from tests.runtime.server.running import Running, running

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "inference-protocol.md").read_text("utf-8")
BY_HTTP, BY_GRPC, LAYERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def avatars(demo_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(load_checkpoint(demo_checkpoint), tmp_path_factory.mktemp("avatars") / "bundle")


@pytest.fixture(scope="module")
def local(avatars: Bundle) -> Generator:
    return Generator.load(avatars, threads=1)


@pytest.fixture(scope="module")
def server(avatars: Bundle) -> Iterator[tuple[Running, str]]:
    with running({"avatars": avatars}) as server, grpc_running(server.service) as url:
        yield server, url


def run(example: str, server: tuple[Running, str]) -> dict[str, Any]:
    """The names that an example leaves behind."""
    found: dict[str, Any] = {}
    urls = {"localhost:8000": server[0].url.removeprefix("http://"), "localhost:8001": server[1]}
    for name, url in urls.items():
        example = example.replace(name, url)
    exec(example, found)
    found["client"].close()
    return found


def test_by_http(server: tuple[Running, str], local: Generator) -> None:
    np.testing.assert_array_equal(run(BY_HTTP, server)["pixels"], local.generate([42], psi=0.7))


def test_by_grpc(server: tuple[Running, str], local: Generator) -> None:
    expected = local.synthesize(local.styles(local.map(local.latents([1, 2]))))
    np.testing.assert_array_equal(run(BY_GRPC, server)["image"], expected)


def test_layer_by_layer(server: tuple[Running, str], local: Generator) -> None:
    w = local.map(local.latents([1, 2]))
    one, two = local.truncate(w[:1]), local.truncate(w[1:])
    expected = local.synthesize(local.mix([one, two], local.layer_mask(range(4))), output="pixels")
    np.testing.assert_array_equal(run(LAYERS, server)["mixed"], expected)


def test_with_curl(server: tuple[Running, str], local: Generator) -> None:
    path, body = re.search(r"curl -s localhost:8000(\S+) -d '(.*)'", PAGE).groups()  # type: ignore[union-attr]
    form = {"content-type": "application/x-www-form-urlencoded"}  # curl's own, unless told otherwise
    (output,) = server[0].client.post(path, content=body, headers=form).json()["outputs"]
    np.testing.assert_array_equal(np.array(output["data"]).reshape(output["shape"]), local.generate([42]))
