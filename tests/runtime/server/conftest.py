"""Servers that many tests ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime import Bundle, Generator
from tests.conftest import export
from tests.runtime.server.directed import with_directions
from tests.runtime.server.running import Running, running
from tests.tiny import tiny_checkpoint


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


@pytest.fixture(scope="session")
def directed_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny generator with the directions "smile" and "age", in a folder whose name has blanks."""
    return with_directions(tiny_bundle, tmp_path_factory.mktemp("directed") / "a bundle with directions")


@pytest.fixture(scope="session")
def blend_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px generator that mixes two latents inside its graph."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("blend") / "bundle", mask="A*0.3+B*0.7:0-2,B:3-5")


@pytest.fixture(scope="session")
def mixing_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px generator whose graph mixes two sources, the second in the last three of six rows."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("mixing") / "bundle", mask="A:0-2,B:3-5")
