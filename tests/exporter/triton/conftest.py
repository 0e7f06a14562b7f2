"""One repository of bundles of every kind, written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.triton import write_repository
from runtime import Bundle
from tests.conftest import export
from tests.exporter.triton.bundles import KINDS, MASK, MAX_BATCH, PRECISIONS
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="session")
def bundles(
    tiny_bundle: Bundle, stylegan1_bundle: Bundle, stylegan3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Bundle]:
    path, checkpoint = tmp_path_factory.mktemp("mixed") / "bundle", tiny_checkpoint(c_dim=3, img_channels=1)
    found = {
        "stylegan1": stylegan1_bundle,
        "stylegan2": tiny_bundle,
        "mixed": export(checkpoint, path, ("fp32", "fp16"), mask=MASK, noise="const"),
        "stylegan3": stylegan3_bundle,
    }
    assert tuple(found) == KINDS
    return found


@pytest.fixture(scope="session")
def repository(bundles: Mapping[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("triton") / "models"
    for name, bundle in bundles.items():
        write_repository(bundle, path, name, PRECISIONS.get(name, "fp32"), max_batch=MAX_BATCH)
    return path
