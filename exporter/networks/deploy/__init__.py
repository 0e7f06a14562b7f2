"""The networks in the form that is exported: the references' functions, rewritten exactly for constant weights."""

from __future__ import annotations

import numpy as np
import torch

from exporter.networks.deploy import stylegan1, stylegan2, stylegan3
from exporter.networks.deploy.common import DeployMapping, DeploySynthesis, Weights
from exporter.networks.deploy.pipeline import DeployPipeline
from runtime.spec import Generation, GeneratorSpec

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
"""Of convolutions, by precision."""
_SYNTHESIS: dict[Generation, type[DeploySynthesis]] = {
    Generation.STYLEGAN1: stylegan1.DeployStyleGAN1,
    Generation.STYLEGAN2: stylegan2.DeployStyleGAN2,
    Generation.STYLEGAN3: stylegan3.DeployStyleGAN3,
}


def deploy_synthesis(
    spec: GeneratorSpec, weights: Weights, mask: np.ndarray, noise: str, precision: str = "fp32"
) -> DeploySynthesis:
    """The synthesis network of a specification's generation."""
    return _SYNTHESIS[spec.generation](spec, weights, mask, noise, DTYPES[precision])


def deploy_pipeline(
    spec: GeneratorSpec, weights: Weights, mask: np.ndarray, noise: str, precision: str = "fp32"
) -> DeployPipeline:
    """The whole generator; `mask` [num_ws, K] is applied between mapping and truncation."""
    return DeployPipeline(spec, weights, mask, deploy_synthesis(spec, weights, np.eye(spec.num_ws), noise, precision))


__all__ = ["DTYPES", "DeployMapping", "DeployPipeline", "DeploySynthesis", "deploy_pipeline", "deploy_synthesis"]
