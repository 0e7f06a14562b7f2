"""A bundle as a Triton model repository. Needs onnx; never torch, TensorRT or Triton."""

from exporter.triton.models import Platform
from exporter.triton.repository import Repository, write_repository

__all__ = ["Platform", "Repository", "write_repository"]
