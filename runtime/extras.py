"""Import an optional dependency, or say which extra installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from runtime.errors import MissingDependencyError

_EXTRAS = {
    "grpc": "grpc",
    "httpx": "client",
    "imageio": "video",
    "imageio_ffmpeg": "video",
    "matplotlib": "report",
    "onnx": "export",
    "onnxruntime_ep_nv_tensorrt_rtx": "rtx",
    "onnxscript": "export",
    "openvino": "openvino",
    "opentelemetry": "tracing",
    "prometheus_client": "serve",
    "pydantic": "serve",
    "pynvml": "power",
    "safetensors": "export",
    "ray": "ray",
    "sklearn": "metrics",
    "starlette": "serve",
    "torch": "export",
    "tritonclient": "grpc",
    "uvicorn": "serve",
    "websockets": "serve",
    "yaml": "ray",
}
"""Which extra brings which package."""
_CUDA = "pip install 'stylegan-edge[tensorrt]', or on a Jetson pip install 'stylegan-edge[jetson]'"
_INSTALL = {
    "cuda": _CUDA,
    "cuda-bindings": _CUDA,
    "tensorrt": "pip install 'stylegan-edge[tensorrt]' (on a Jetson it comes with JetPack: make the virtual "
    "environment with --system-site-packages)",
    "tensorrt-rtx": "install the tensorrt_rtx wheel of NVIDIA's TensorRT-RTX download",
}
"""What to do for a package that an extra does not bring everywhere."""


def how_to_install(package: str) -> str:
    """What brings an optional package."""
    return _INSTALL.get(package) or f"pip install 'stylegan-edge[{_EXTRAS[package]}]'"


def require(module: str, extra: str | None = None) -> ModuleType:
    """Import `module`. Raises MissingDependencyError where it is not installed, naming the extra that brings it.

    `extra` is the one that brings no more than is needed here, where several bring the package.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if (error.name or "").split(".")[0] != package:
            raise
        how = how_to_install(package) if extra is None else f"pip install 'stylegan-edge[{extra}]'"
        raise MissingDependencyError(f"{package} is not installed, and this command needs it: {how}") from None
