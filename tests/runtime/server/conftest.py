"""Servers that many tests ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime import Bundle, Generator
from tests.runtime.server.running import Running, running


@pytest.fixture(scope="session")
def server(
    tiny_bundle: Bundle, conditional_bundle: Bundle, stylegan1_bundle: Bundle, stylegan3_bundle: Bundle
) -> Iterator[Running]:
    """Four 16 px generators: "tiny", "classes" (three of them), "cutoff" (a StyleGAN), "turned" (a StyleGAN3)."""
    bundles = {
        "tiny": tiny_bundle,
        "classes": conditional_bundle,
        "cutoff": stylegan1_bundle,
        "turned": stylegan3_bundle,
    }
    with running(bundles, reload_seconds=0) as server:
        yield server


@pytest.fixture(scope="session")
def tiny(tiny_bundle: Bundle) -> Generator:
    """The same generator as the server's "tiny", in this process."""
    return Generator.load(tiny_bundle, threads=1)
