"""A graph's values have the names of the layers that made them; naming them changes nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import numpy as np
import onnx_ir as ir
import pytest

from exporter.graphs import Graph, build_mapping, build_pipeline, build_split, build_synthesis
from exporter.networks import marks
from exporter.networks.deploy import Form
from exporter.networks.deploy.passes import without
from runtime.spec import Architecture, GeneratorSpec
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS: dict[str, GeneratorSpec] = {
    "skip": tiny_spec(c_dim=2),
    "resnet": tiny_spec(Architecture.RESNET),
    "StyleGAN fading": tiny_stylegan1_spec(lod=0.4),
    "StyleGAN3-t": tiny_stylegan3_spec(),
}


def _named(graph: Graph, spec: GeneratorSpec) -> list[str]:
    """Names of outputs of layers, in the order in which the graph makes them."""
    known = {output.name for output in spec.outputs}
    return [value.name for node in graph.model.graph for value in node.outputs if value.name in known]


def _makers(node: ir.Node) -> list[str | None]:
    """The nodes that a node takes its inputs from."""
    makers = (value.producer() if value is not None else None for value in node.inputs)
    return [maker.name if maker is not None else None for maker in makers]


@cache
def _synthesis(network: str) -> Graph:
    """The synthesis graph of one of `NETWORKS`, traced once."""
    return build_synthesis(tiny_checkpoint(NETWORKS[network]), Form(np.eye(NETWORKS[network].num_ws)))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_has_its_name_in_the_graphs(network: str) -> None:
    checkpoint, spec = tiny_checkpoint(NETWORKS[network]), NETWORKS[network]
    form = Form(np.eye(spec.num_ws))
    mapping, *others = (output.name for output in spec.outputs if output.name.startswith("mapping."))
    synthesis = [output.name for output in spec.synthesis.outputs(spec.img_channels)]
    if network != "StyleGAN fading":
        synthesis.pop()  # the last layer makes the graph's output `image`, and has that name
    assert _named(build_mapping(checkpoint), spec) == [mapping, *others][:-1]  # the last is `w`
    assert sorted(_named(_synthesis(network), spec)) == sorted(synthesis)
    pipeline = build_pipeline(checkpoint, form)
    assert sorted(_named(pipeline, spec)) == sorted([mapping, *others, *synthesis])
    assert "ws" in [value.name for node in pipeline.model.graph for value in node.outputs]


@pytest.mark.parametrize("network", ["skip", "resnet"])
def test_what_crosses_a_cut_is_named_for_that(network: str) -> None:
    checkpoint, spec = tiny_checkpoint(NETWORKS[network]), NETWORKS[network]
    head, tail = build_split(checkpoint, Form(np.eye(spec.num_ws)), 3)
    names = [output.name for output in spec.synthesis.outputs(spec.img_channels)]
    missing = set(names) - set(_named(head, spec)) - set(_named(tail, spec))
    assert missing <= {names[-1], "b8.conv1", "b8.conv0", "b8.sum", "b8.image", "b4.torgb", "b4.conv1"}
    assert {"b16.conv0", "b16.conv1"} <= set(_named(tail, spec))


@pytest.mark.parametrize("network", NETWORKS)
def test_names_change_nothing_else(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, form = tiny_checkpoint(NETWORKS[network]), Form(np.eye(NETWORKS[network].num_ws))
    marked = _synthesis(network).model.graph

    @contextmanager
    def nothing_is_collected():  # type: ignore[no-untyped-def]
        yield {}

    monkeypatch.setattr(marks, "collecting", nothing_is_collected)
    plain = build_synthesis(checkpoint, form).model.graph
    assert [node.op_type for node in marked] == [node.op_type for node in plain]
    assert list(marked.initializers) == list(plain.initializers)
    assert not any(name.startswith(marks.WRAPPED) for name in marked.initializers)
    for node, other in zip(marked, plain):
        assert _makers(node) == _makers(other)


def test_marks_survive_without_the_passes() -> None:
    spec = NETWORKS["skip"]
    form = Form(np.eye(spec.num_ws), passes=without(["gain", "styles", "rgb"]))
    assert len(_named(build_synthesis(tiny_checkpoint(spec), form), spec)) == 9
