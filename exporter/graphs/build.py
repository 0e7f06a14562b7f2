"""The graphs of a bundle: which there are, what they take and give, and the promises each is checked against."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import torch

from exporter.checkpoints import Checkpoint
from exporter.graphs.trace import BATCH, TRACE_BATCH, GraphInput, trace
from exporter.networks.deploy import (
    DeployMapping,
    DeploySynthesis,
    Form,
    deploy_head,
    deploy_pipeline,
    deploy_synthesis,
    deploy_tail,
)
from exporter.networks.deploy.passes import ALL
from exporter.splitting import check_split
from runtime.bundle import graph_key
from runtime.errors import ExportError
from runtime.manifest import GraphInfo, NoiseMode, TensorInfo
from runtime.opsets import BF16_OPSET, OPSET
from runtime.parity import BF16
from runtime.spec import TRANSFORM, GeneratorSpec, latent_names, noise_name

MAX_NODES_PER_LAYER = 19
"""Nodes a layer: more means that something was not folded. StyleGAN's instance normalisation makes for the most,
with its epsilon."""
HALF_NODES = 6
"""Nodes more a layer in float16: to it and back, a clamp, what weights were divided by, a bias of its own."""
SKIPPED_NODES = 1
"""Nodes more a layer for each rewrite that was left out: they are what it saves."""
FEWEST_LAYERS = 3
"""Layers that a graph is allowed the nodes of at least: a 4 px network has two, and the styles and pixels of any."""


class GraphName(str, Enum):
    """The graphs that a bundle may hold; the file is `<name>.onnx`."""

    MAPPING = "mapping"
    SYNTHESIS = "synthesis"
    PIPELINE = "pipeline"
    HEAD = "head"
    TAIL = "tail"


@dataclass(frozen=True)
class Graph:
    """A traced graph, ready to be written."""

    name: GraphName
    model: ir.Model
    precision: str = "fp32"

    @property
    def key(self) -> str:
        """What the manifest calls it, and its file without the ending."""
        return graph_key(self.name.value, self.precision)

    def save(self, folder: Path) -> GraphInfo:
        """Write the graph, check the file written, and describe it. Raises ExportError where the check fails."""
        path = folder / f"{self.key}.onnx"
        ir.save(self.model, path)
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ExportError(f"{path.name} does not pass onnx.checker: {' '.join(str(error).split())[:300]}") from None
        return GraphInfo(
            file=path.name,
            inputs=tuple(_describe(value) for value in self.model.graph.inputs),
            outputs=tuple(_describe(value) for value in self.model.graph.outputs),
            precision=self.precision,
            opset=self.model.opset_imports[""],
            nodes=len(self.model.graph),
        )


def _describe(value: ir.Value) -> TensorInfo:
    assert value.name is not None
    assert value.dtype is not None
    assert value.shape is not None
    shape = tuple(dim if isinstance(dim, int) else str(dim.value) for dim in value.shape)
    return TensorInfo(value.name, value.dtype.numpy().name, shape)


def build_mapping(checkpoint: Checkpoint) -> Graph:
    """`mapping`: z [N, z_dim], c [N, c_dim] where conditional -> w [N, w_dim]."""
    spec = checkpoint.spec
    inputs = [GraphInput("z", torch.empty(TRACE_BATCH, spec.z_dim), BATCH), *_label_inputs(spec)]
    module = DeployMapping(spec.mapping, checkpoint.weights)
    arguments = tuple(item.example for item in inputs)
    return Graph(GraphName.MAPPING, trace(module, GraphName.MAPPING.value, arguments, inputs, ["w"]))


def build_synthesis(checkpoint: Checkpoint, form: Form) -> Graph:
    """`synthesis`: styles [N, K, w_dim], noise, transform -> image, pixels; the mask is baked in."""
    spec = checkpoint.spec
    styles = GraphInput("styles", torch.empty(TRACE_BATCH, form.mask.shape[1], spec.w_dim), BATCH)
    module = deploy_synthesis(spec, checkpoint.weights, form)
    maps, transforms = _noise_inputs(spec, form, module.noise_inputs), _transform_inputs(spec)
    arguments = (styles.example, tuple(item.example for item in maps), *(item.example for item in transforms))
    inputs = [styles, *maps, *transforms]
    model = trace(module, GraphName.SYNTHESIS.value, arguments, inputs, ["image", "pixels"], _opset(form))
    return _checked(Graph(GraphName.SYNTHESIS, model, form.precision), module)


def build_split(checkpoint: Checkpoint, form: Form, split: int) -> Iterator[Graph]:
    """`head` and `tail`: synthesis cut before the first layer that takes a row of `ws` from `split` on.

    `head`: styles [N, K, w_dim], its noise, transform -> the activations there: x, and rgb and shortcut if there are.
    `tail`: those, one for all images or one for each, styles, its noise -> image, pixels. Raises InputError where
    there is no such cut.
    """
    spec = checkpoint.spec
    cut = check_split(spec, split, form.fixed)
    styles = GraphInput("styles", torch.empty(TRACE_BATCH, form.mask.shape[1], spec.w_dim), BATCH)
    head = deploy_head(spec, checkpoint.weights, form, cut)
    maps, transforms = _noise_inputs(spec, form, head.part.noise_inputs), _transform_inputs(spec)
    given = tuple(item.example for item in maps)
    motion = transforms[0].example if transforms else None
    with torch.no_grad():  # at batch 1, for the names, shapes and types of what crosses the cut
        crossing = head.activations(torch.zeros(1, *styles.example.shape[1:]), given, motion)
    inputs = (styles.example, given, *(item.example for item in transforms))
    model = trace(head, GraphName.HEAD.value, inputs, [styles, *maps, *transforms], list(crossing), _opset(form))
    yield _checked(Graph(GraphName.HEAD, model, form.precision), head.part)
    tail = deploy_tail(spec, checkpoint.weights, form, cut, list(crossing))
    kept = [GraphInput(name, torch.empty_like(item), f"{name}_{BATCH}") for name, item in crossing.items()]
    maps = _noise_inputs(spec, form, tail.part.noise_inputs)
    arguments = (tuple(item.example for item in kept), styles.example, tuple(item.example for item in maps))
    model = trace(tail, GraphName.TAIL.value, arguments, [*kept, styles, *maps], ["image", "pixels"], _opset(form))
    yield _checked(Graph(GraphName.TAIL, model, form.precision), tail.part)


def _checked(graph: Graph, module: DeploySynthesis) -> Graph:
    """Raise ExportError where a graph has more nodes than the layers that it draws account for."""
    skipped = len(ALL - module.form.passes)
    per_layer = MAX_NODES_PER_LAYER + (0 if graph.precision == "fp32" else HALF_NODES) + SKIPPED_NODES * skipped
    layers = len(module.drawn) + (len(module.drawn) < len(module.spec.layers))  # styles are made on both sides of a cut
    allowed = per_layer * max(layers, FEWEST_LAYERS) + module.more_nodes
    if len(graph.model.graph) > allowed:
        raise ExportError(
            f"the {graph.name.value} graph has {len(graph.model.graph)} nodes, expected at most {allowed}"
        )
    return graph


def build_pipeline(checkpoint: Checkpoint, form: Form) -> Graph:
    """`pipeline`: z (z_1, ... where the mask has more sources), c, psi [num_ws], noise, transform -> image, pixels.

    Where each row of the form's mask is a source of its own, one latent makes all rows.
    """
    spec, form = checkpoint.spec, pipeline_form(form)
    names = latent_names(form.mask.shape[1])
    latents = [GraphInput(name, torch.empty(TRACE_BATCH, spec.z_dim), BATCH) for name in names]
    labels = _label_inputs(spec)
    psi = GraphInput("psi", torch.empty(spec.num_ws))
    maps, transforms = _noise_inputs(spec, form, range(len(spec.noise_inputs))), _transform_inputs(spec)
    arguments = (
        tuple(item.example for item in latents),
        labels[0].example if labels else None,
        psi.example,
        tuple(item.example for item in maps),
        *(item.example for item in transforms),
    )
    module = deploy_pipeline(spec, checkpoint.weights, form)
    inputs = [*latents, *labels, psi, *maps, *transforms]
    model = trace(module, GraphName.PIPELINE.value, arguments, inputs, ["image", "pixels"], _opset(form))
    return Graph(GraphName.PIPELINE, model, form.precision)


def pipeline_form(form: Form) -> Form:
    """The pipeline's: one latent makes all rows where synthesis takes a style for each."""
    rows = len(form.mask)
    return dataclasses.replace(form, mask=np.ones((rows, 1))) if np.array_equal(form.mask, np.eye(rows)) else form


def _opset(form: Form) -> int:
    """The least that its convolutions need."""
    return BF16_OPSET if form.precision == BF16 else OPSET


def _label_inputs(spec: GeneratorSpec) -> list[GraphInput]:
    return [GraphInput("c", torch.empty(TRACE_BATCH, spec.c_dim), BATCH)] if spec.c_dim else []


def _noise_inputs(spec: GeneratorSpec, form: Form, numbers: Sequence[int]) -> list[GraphInput]:
    """Each noise input has a batch name of its own: it may be N for one layer and 1 for another."""
    if form.noise != NoiseMode.EXPLICIT.value:
        return []
    return [
        GraphInput(noise_name(index), torch.empty(1, 1, *spec.noise_shapes[index]), f"{noise_name(index)}_{BATCH}")
        for index in numbers
    ]


def _transform_inputs(spec: GeneratorSpec) -> list[GraphInput]:
    """The transform may be one for all images, or one for each."""
    return [GraphInput(TRANSFORM, torch.empty(1, 3, 3), f"{TRANSFORM}_{BATCH}")] if spec.takes_transform else []
