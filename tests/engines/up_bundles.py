"""Bundles whose up-convolutions all stand as they are defined, as export leaves those of a large network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.networks.deploy import up
from runtime import Bundle


def export_as_defined(checkpoint: Checkpoint, folder: Path, products: int | None = None, **options: Any) -> Bundle:
    """Export with every up-convolution in the form TRANSPOSED; one that holds more than `products` in parts."""
    with pytest.MonkeyPatch.context() as patch:
        if products is not None:
            patch.setattr(up, "MAX_PRODUCTS", products)
        return export(checkpoint, folder, skip_passes=["up"], **options)
