"""Bundles that many tests read: exported once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from exporter import export
from exporter.checkpoints.layout import STORED_TRANSFORM
from runtime import Bundle
from runtime.transforms import make_transform
from tests.tiny import tiny_checkpoint, tiny_stylegan1_spec, tiny_stylegan3_spec


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px unconditional generator with a pipeline graph. Copy it before changing anything."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("tiny") / "bundle", pipeline=True)


@pytest.fixture(scope="session")
def conditional_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px generator of three classes."""
    return export(tiny_checkpoint(c_dim=3), tmp_path_factory.mktemp("conditional") / "bundle")


@pytest.fixture(scope="session")
def stylegan1_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px StyleGAN whose own code truncates the first 2 of 6 rows."""
    return export(tiny_checkpoint(tiny_stylegan1_spec()), tmp_path_factory.mktemp("stylegan1") / "bundle")


@pytest.fixture(scope="session")
def stylegan3_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A 16 px StyleGAN3-r, which stores a transform of its own: a quarter turn."""
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=True))
    weights = {**checkpoint.weights, STORED_TRANSFORM: make_transform(90.0)}
    return export(dataclasses.replace(checkpoint, weights=weights), tmp_path_factory.mktemp("stylegan3") / "bundle")


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    """The checkpoint that ships with the project."""
    return Path(__file__).parents[1] / "examples" / "avatars-64.pkl"
