"""A bundle's graphs run by PyTorch as they were traced: so is measured what ONNX Runtime has no operators for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exporter.checkpoints import Checkpoint
from exporter.graphs.build import pipeline_form
from exporter.networks.deploy import DeployMapping, DeploySynthesis, Form, deploy_pipeline, deploy_synthesis
from runtime.backends import BackendName
from runtime.graphs import OpenGraphs
from runtime.manifest import NoiseMode
from runtime.spec import TRANSFORM, latent_names, noise_name

IMAGES = ("image", "pixels")
Named = Mapping[str, Tensor]


class TracedGraph:
    """A module that a graph was traced from, called with the graph's inputs; it returns the outputs in order."""

    backend = BackendName.AUTO  # none of the runtime's
    device = "cpu"
    max_batch: int | None = None

    def __init__(self, call: Callable[[Named], Any], outputs: Sequence[str]) -> None:
        self._call, self._outputs = call, outputs

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Arrays by input name -> the named outputs, in order."""
        tensors = {name: torch.tensor(array) for name, array in inputs.items()}
        with torch.no_grad():
            found = dict(zip(self._outputs, self._call(tensors)))
        return [found[name].numpy() for name in outputs]

    def memory(self) -> None:
        """Nothing: it holds no GPU memory."""

    def close(self) -> None:
        """Nothing to do."""


def in_torch(checkpoint: Checkpoint, form: Form, pipeline: bool) -> OpenGraphs:
    """The graphs that a checkpoint is exported to in a form, but for a split; `pipeline` says whether there is one."""
    return OpenGraphs(
        mapping=TracedGraph(_mapping(checkpoint), ["w"]),
        synthesis=TracedGraph(_synthesis(checkpoint, form), IMAGES),
        pipeline=TracedGraph(_pipeline(checkpoint, form), IMAGES) if pipeline else None,
        precision=form.precision,
    )


def _mapping(checkpoint: Checkpoint) -> Callable[[Named], Any]:
    module = DeployMapping(checkpoint.spec.mapping, checkpoint.weights).eval()
    return lambda given: [module(given["z"], given.get("c"))]


def _synthesis(checkpoint: Checkpoint, form: Form) -> Callable[[Named], Any]:
    module = deploy_synthesis(checkpoint.spec, checkpoint.weights, form).eval()
    return lambda given: module(given["styles"], _noise(given, module), given.get(TRANSFORM))


def _pipeline(checkpoint: Checkpoint, form: Form) -> Callable[[Named], Any]:
    form = pipeline_form(form)
    module = deploy_pipeline(checkpoint.spec, checkpoint.weights, form).eval()
    names = latent_names(form.mask.shape[1])

    def call(given: Named) -> Any:
        latents = tuple(given[name] for name in names)
        return module(latents, given.get("c"), given["psi"], _noise(given, module.synthesis), given.get(TRANSFORM))

    return call


def _noise(given: Named, module: DeploySynthesis) -> tuple[Tensor, ...]:
    """What the module takes, in its order; nothing where its noise is no input."""
    explicit = module.noise == NoiseMode.EXPLICIT.value
    return tuple(given[noise_name(index)] for index in module.noise_inputs) if explicit else ()
