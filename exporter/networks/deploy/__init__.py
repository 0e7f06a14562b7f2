"""The networks in the form that is exported: the references' functions, rewritten exactly for constant weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exporter.networks.deploy import stylegan1, stylegan2, stylegan3
from exporter.networks.deploy.common import DTYPES, DeployMapping, DeploySynthesis, Form, Weights
from exporter.networks.deploy.pipeline import DeployPipeline
from exporter.networks.deploy.split import DeployHead, DeployTail
from runtime.spec import Generation, GeneratorSpec

_SYNTHESIS: dict[Generation, type[DeploySynthesis]] = {
    Generation.STYLEGAN1: stylegan1.DeployStyleGAN1,
    Generation.STYLEGAN2: stylegan2.DeployStyleGAN2,
    Generation.STYLEGAN3: stylegan3.DeployStyleGAN3,
}


def deploy_synthesis(spec: GeneratorSpec, weights: Weights, form: Form) -> DeploySynthesis:
    """The synthesis network of a specification's generation."""
    return _SYNTHESIS[spec.generation](spec, weights, form)


def deploy_pipeline(spec: GeneratorSpec, weights: Weights, form: Form) -> DeployPipeline:
    """The whole generator; the form's mask [num_ws, K] is applied between mapping and truncation."""
    synthesis = deploy_synthesis(spec, weights, replace(form, mask=np.eye(spec.num_ws)))
    return DeployPipeline(spec, weights, form.mask, synthesis)


def deploy_head(spec: GeneratorSpec, weights: Weights, form: Form, cut: int) -> DeployHead:
    """The first `cut` layers of the synthesis network."""
    return DeployHead(deploy_synthesis(spec, weights, replace(form, end=cut)))


def deploy_tail(spec: GeneratorSpec, weights: Weights, form: Form, cut: int, names: Sequence[str]) -> DeployTail:
    """The layers after the first `cut`, which take the activations `names`."""
    return DeployTail(deploy_synthesis(spec, weights, replace(form, first=cut)), names)


__all__ = [
    "DTYPES",
    "DeployHead",
    "DeployMapping",
    "DeployPipeline",
    "DeploySynthesis",
    "DeployTail",
    "Form",
    "deploy_head",
    "deploy_pipeline",
    "deploy_synthesis",
    "deploy_tail",
]
