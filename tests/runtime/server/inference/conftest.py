"""Servers and clients of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tritonclient.grpc
import tritonclient.http

from runtime import Bundle, Generator
from tests.runtime.server.inference.asking import Asker
from tests.runtime.server.inference.grpc_running import grpc_running
from tests.runtime.server.running import Running, running


@pytest.fixture(scope="package")
def served(
    tiny_bundle: Bundle, conditional_bundle: Bundle, stylegan3_bundle: Bundle, mixing_bundle: Bundle
) -> Iterator[Running]:
    """Four 16 px generators: "tiny", "classes" (three of them), "turned" (a StyleGAN3), "mixing" (two latents)."""
    bundles = {
        "tiny": tiny_bundle,
        "classes": conditional_bundle,
        "turned": stylegan3_bundle,
        "mixing": mixing_bundle,
    }
    with running(bundles, reload_seconds=0) as server:
        yield server


@pytest.fixture(scope="package")
def http(served: Running) -> Iterator[Asker]:
    with tritonclient.http.InferenceServerClient(served.url.removeprefix("http://"), concurrency=2) as client:
        yield Asker(tritonclient.http, client)


@pytest.fixture(scope="package")
def grpc_url(served: Running) -> Iterator[str]:
    with grpc_running(served.service) as url:
        yield url


@pytest.fixture(scope="package")
def grpc_client(grpc_url: str) -> Iterator[Asker]:
    with tritonclient.grpc.InferenceServerClient(grpc_url) as client:
        yield Asker(tritonclient.grpc, client)


@pytest.fixture(params=["http", "grpc_client"], ids=["http", "grpc"])
def asker(request: pytest.FixtureRequest) -> Asker:
    """Each of the clients."""
    client: Asker = request.getfixturevalue(request.param)
    return client


@pytest.fixture(scope="session")
def generators(
    tiny_bundle: Bundle, conditional_bundle: Bundle, stylegan3_bundle: Bundle, mixing_bundle: Bundle
) -> dict[str, Generator]:
    """The same generators in this process."""
    bundles = {
        "tiny": tiny_bundle,
        "classes": conditional_bundle,
        "turned": stylegan3_bundle,
        "mixing": mixing_bundle,
    }
    return {name: Generator.load(bundle, threads=1) for name, bundle in bundles.items()}
