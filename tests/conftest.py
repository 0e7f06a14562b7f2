"""Bundles that many tests read: exported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import export
from runtime import Bundle
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px unconditional generator with a pipeline graph. Copy it before changing anything."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("tiny") / "bundle", pipeline=True)


@pytest.fixture(scope="session")
def conditional_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px generator of three classes."""
    return export(tiny_checkpoint(c_dim=3), tmp_path_factory.mktemp("conditional") / "bundle")


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    """The checkpoint that ships with the project."""
    return Path(__file__).parents[1] / "examples" / "avatars-64.pkl"
