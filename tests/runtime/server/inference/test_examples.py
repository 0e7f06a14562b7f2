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
from tests.runtime.server.inference.grpc_running import grpc_running
from tests.runtime.server.running import Running, running

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "inference-protocol.md").read_text("utf-8")
BY_HTTP, BY_GRPC, LAYERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

SMALLER = {128: 7, 10: 6}
"""The bundled checkpoint's z_dim and num_ws, and those of the network that is drawn here."""


def test_sizes_are_those_of_the_bundled_checkpoint(demo_checkpoint: Path) -> None:
    spec = load_checkpoint(demo_checkpoint).spec
    assert (spec.z_dim, spec.num_ws, spec.resolution) == (*SMALLER, 64)


@pytest.fixture(scope="module")
def server(tiny_bundle: Bundle) -> Iterator[tuple[Running, str]]:
    """One that serves a smaller generator as "avatars"."""
    with running({"avatars": tiny_bundle}) as server, grpc_running(server.service) as url:
        yield server, url


def run(example: str, server: tuple[Running, str]) -> dict[str, Any]:
    """The names that an example leaves behind."""
    found: dict[str, Any] = {}
    urls = {"localhost:8000": server[0].url.removeprefix("http://"), "localhost:8001": server[1]}
    for number, smaller in SMALLER.items():
        example = re.sub(rf"\b{number}\b", str(smaller), example)
    for name, url in urls.items():
        example = example.replace(name, url)
    exec(example, found)
    found["client"].close()
    return found


def test_by_http(server: tuple[Running, str], tiny: Generator) -> None:
    np.testing.assert_array_equal(run(BY_HTTP, server)["pixels"], tiny.generate([42], psi=0.7))


def test_by_grpc(server: tuple[Running, str], tiny: Generator) -> None:
    expected = tiny.synthesize(tiny.styles(tiny.map(tiny.latents([1, 2]))))
    np.testing.assert_array_equal(run(BY_GRPC, server)["image"], expected)


def test_layer_by_layer(server: tuple[Running, str], tiny: Generator) -> None:
    w = tiny.map(tiny.latents([1, 2]))
    one, two = tiny.truncate(w[:1]), tiny.truncate(w[1:])
    expected = tiny.synthesize(tiny.mix([one, two], tiny.layer_mask(range(4))), output="pixels")
    np.testing.assert_array_equal(run(LAYERS, server)["mixed"], expected)


def test_with_curl(server: tuple[Running, str], tiny: Generator) -> None:
    path, body = re.search(r"curl -s localhost:8000(\S+) -d '(.*)'", PAGE).groups()  # type: ignore[union-attr]
    form = {"content-type": "application/x-www-form-urlencoded"}  # curl's own, unless told otherwise
    (output,) = server[0].client.post(path, content=body, headers=form).json()["outputs"]
    np.testing.assert_array_equal(np.array(output["data"]).reshape(output["shape"]), tiny.generate([42]))
