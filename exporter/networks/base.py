"""What every generation's reference network offers."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from runtime.spec import GeneratorSpec


class ReferenceNetwork(Protocol):
    """A generator in PyTorch: `mapping(z, c)` -> w [N, w_dim], `synthesis(ws, noise=...)` -> image [N, C, H, W]."""

    spec: GeneratorSpec
    mapping: Any
    synthesis: Any

    def truncate(self, w: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """`w` [N, w_dim] -> `ws` [N, num_ws, w_dim]."""
        ...
