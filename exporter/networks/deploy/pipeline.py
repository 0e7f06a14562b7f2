"""The whole generator in one module: mapping, truncation, mixing and synthesis."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from exporter.networks.deploy.common import DeployMapping, DeploySynthesis, StyleMixer, Weights, constant
from exporter.networks.marks import mark
from runtime.spec import GeneratorSpec


class DeployPipeline(nn.Module):
    """`z` of each source, label, psi a layer [num_ws], noise, transform -> image and pixels.

    Truncation follows mixing, which is the same because the rows of the mask [num_ws, K] sum to 1. `synthesis` has
    the identity for its own mask.
    """

    def __init__(self, spec: GeneratorSpec, weights: Weights, mask: np.ndarray, synthesis: DeploySynthesis) -> None:
        super().__init__()
        self.mapping = DeployMapping(spec.mapping, weights)
        self.mixer = StyleMixer(range(spec.num_ws), mask)
        self.synthesis = synthesis
        self.register_buffer("w_avg", constant(weights["mapping.w_avg"]))

    def forward(
        self,
        z: tuple[Tensor, ...],
        c: Tensor | None,
        psi: Tensor,
        noise: tuple[Tensor, ...],
        transform: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The graph's outputs: `image` and `pixels`."""
        sources = [self.mapping(latent, c).unsqueeze(1) for latent in z]  # [N, 1, w_dim] each
        ws = sources[0] if len(sources) == 1 else self.mixer(torch.cat(sources, dim=1))
        mean = self.get_buffer("w_avg")
        ws = mark("ws", mean + psi.unsqueeze(1) * (ws - mean))  # [N, num_ws, w_dim]
        return self.synthesis(ws, noise, transform)
