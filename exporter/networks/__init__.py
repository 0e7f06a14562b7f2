"""The reference networks, one generation a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from exporter.networks import stylegan1, stylegan2, stylegan3
from exporter.networks.base import ReferenceNetwork
from runtime.spec import Generation

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint

_NETWORKS = {
    Generation.STYLEGAN1: stylegan1.Generator,
    Generation.STYLEGAN2: stylegan2.Generator,
    Generation.STYLEGAN3: stylegan3.Generator,
}


def build_network(checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> ReferenceNetwork:
    """The reference network of a checkpoint's generation, holding its weights, in evaluation mode."""
    checkpoint = checkpoint.completed()
    network = _NETWORKS[checkpoint.spec.generation](checkpoint.spec).to(dtype or torch.float32)
    network.load({name: torch.from_numpy(array.copy()) for name, array in checkpoint.weights.items()})
    return network.eval().requires_grad_(False)


__all__ = ["ReferenceNetwork", "build_network"]
