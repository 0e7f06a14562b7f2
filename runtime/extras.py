"""Import an optional dependency, or say which extra installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from runtime.errors import MissingDependencyError

_EXTRAS = {
    "imageio": "video",
    "imageio_ffmpeg": "video",
    "onnx": "export",
    "onnxscript": "export",
    "safetensors": "export",
    "torch": "export",
}
"""Which extra brings which package."""


def require(module: str) -> ModuleType:
    """Import `module`. Raises MissingDependencyError, naming the extra, where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if (error.name or "").split(".")[0] != package:
            raise
        extra = _EXTRAS[package]
        raise MissingDependencyError(
            f"{package} is not installed, and this command needs it: pip install 'stylegan-edge[{extra}]'"
        ) from None
