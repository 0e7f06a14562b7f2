"""The file formats that are read."""

from __future__ import annotations

from enum import Enum


class SourceFormat(str, Enum):
    """Where a checkpoint comes from."""

    NVIDIA_TORCH = "NVIDIA PyTorch pickle"
    NVIDIA_TENSORFLOW = "NVIDIA TensorFlow pickle"
    ROSINALITY_STYLEGAN1 = "rosinality style-based-gan-pytorch"
    ROSINALITY_STYLEGAN2 = "rosinality stylegan2-pytorch"
    SAFETENSORS = "stylegan-edge safetensors"
