"""The ONNX versions that graphs are written in."""

from __future__ import annotations

OPSET = 17
"""What every TensorRT from 8.6 (JetPack 6.0) up reads."""
BF16_OPSET = 22
"""The first in which a convolution takes bfloat16."""
IR_VERSIONS = {OPSET: 8, BF16_OPSET: 10}
"""The ONNX IR version that belongs to an opset."""
