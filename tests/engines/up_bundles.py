"""Bundles whose up-convolutions all stand as they are defined, as export leaves those of a large network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.networks.deploy import Form, up
from runtime import Bundle
from runtime.up_forms import UpForm


def export_as_defined(checkpoint: Checkpoint, folder: Path, products: int | None = None, **options: Any) -> Bundle:
    """Export with every up-convolution in the form TRANSPOSED; one that holds more than `products` in parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.graphs.build.Form", partial(Form, up=UpForm.TRANSPOSED))
        if products is not None:
            patch.setattr(up, "MAX_PRODUCTS", products)
        return export(checkpoint, folder, **options)
