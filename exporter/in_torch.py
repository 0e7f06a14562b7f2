"""A bundle's graphs run by PyTorch as they were traced: so is measured what ONNX Runtime has no operators for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exporter.checkpoints import Checkpoint
from exporter.graphs.build import pipeline_form
from exporter.networks.deploy import Form, deploy_pipeline, deploy_synthesis
from runtime.backends import BackendName
from runtime.graphs import OpenGraphs
from runtime.spec import TRANSFORM, latent_names, noise_name

OUTPUTS = ("image", "pixels")
Named = Mapping[str, Tensor]


class TracedGraph:
    """A module that a graph was traced from, called with the graph's inputs."""

    backend = BackendName.AUTO  # none of the runtime's
    device = "cpu"
    max_batch: int | None = None

    def __init__(self, call: Callable[[Named], Any]) -> None:
        self._call = call

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Arrays by input name -> the named outputs, in order."""
        tensors = {name: torch.tensor(array) for name, array in inputs.items()}
        with torch.no_grad():
            found = dict(zip(OUTPUTS, self._call(tensors)))
        return [found[name].numpy() for name in outputs]

    def memory(self) -> None:
        """Nothing: it holds no GPU memory."""

    def close(self) -> None:
        """Nothing to do."""


def in_torch(graphs: OpenGraphs, checkpoint: Checkpoint, form: Form) -> OpenGraphs:
    """Graphs of float32, opened: the same ones in a form's precision, but for mapping, which is float32 always."""
    synthesis = TracedGraph(_synthesis(checkpoint, form))
    pipeline = None if graphs.pipeline is None else TracedGraph(_pipeline(checkpoint, form))
    return dataclasses.replace(graphs, synthesis=synthesis, pipeline=pipeline, precision=form.precision, split=None)


def _synthesis(checkpoint: Checkpoint, form: Form) -> Callable[[Named], Any]:
    module = deploy_synthesis(checkpoint.spec, checkpoint.weights, form).eval()
    return lambda given: module(given["styles"], _noise(given), given.get(TRANSFORM))


def _pipeline(checkpoint: Checkpoint, form: Form) -> Callable[[Named], Any]:
    form = pipeline_form(form)
    module = deploy_pipeline(checkpoint.spec, checkpoint.weights, form).eval()
    names = latent_names(form.mask.shape[1])

    def call(given: Named) -> Any:
        latents = tuple(given[name] for name in names)
        return module(latents, given.get("c"), given["psi"], _noise(given), given.get(TRANSFORM))

    return call


def _noise(given: Named) -> tuple[Tensor, ...]:
    count = sum(name.startswith(noise_name(0)[:-2]) for name in given)
    return tuple(given[noise_name(index)] for index in range(count))
