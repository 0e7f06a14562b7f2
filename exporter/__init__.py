"""Checkpoint file -> PyTorch reference -> ONNX -> bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.bundle_writer import export
    from exporter.checkpoints import Checkpoint, load_checkpoint

__all__ = ["Checkpoint", "export", "load_checkpoint"]

_HOMES = {
    "Checkpoint": "exporter.checkpoints",
    "load_checkpoint": "exporter.checkpoints",
    "export": "exporter.bundle_writer",
}


def __getattr__(name: str) -> Any:
    """Import on first use: reading a checkpoint needs no torch, and only exporting needs onnx."""
    if name not in _HOMES:
        raise AttributeError(f"module 'exporter' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
