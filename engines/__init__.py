"""Bundle -> TensorRT engine, inside the bundle. Needs TensorRT; never torch, never onnx."""

from __future__ import annotations
