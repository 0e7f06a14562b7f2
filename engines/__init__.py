"""Bundle -> TensorRT engine, inside the bundle. Needs TensorRT, and `build --tune` onnx; never torch."""

from __future__ import annotations
