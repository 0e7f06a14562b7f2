"""Bundle -> images: run, verify, measure. Needs NumPy and one backend; never torch, never onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.bundle import Bundle
    from runtime.generator import Generator
    from runtime.spec import GeneratorSpec

__all__ = ["Bundle", "Generator", "GeneratorSpec"]

_HOMES = {"Bundle": "runtime.bundle", "Generator": "runtime.generator", "GeneratorSpec": "runtime.spec"}


def __getattr__(name: str) -> Any:
    """Import on first use: a command that prints help needs no NumPy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
