"""`verify` against graphs that are wrong on purpose: golden samples alone must show each, at the batch that can."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

from exporter import export
from runtime import Bundle
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.graphs import OpenGraphs
from runtime.verify import verify_golden
from tests.tiny import tiny_checkpoint

CLASSES = 12
END = 2**31 - 1
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


@pytest.fixture(scope="module")
def many_classes(folder: Path) -> Bundle:
    """More classes than golden images, and a pipeline graph."""
    return export(tiny_checkpoint(c_dim=CLASSES), folder / "classes", pipeline=True)


@pytest.fixture(scope="module")
def masked(folder: Path) -> Bundle:
    return export(tiny_checkpoint(), folder / "masked", mask="A:0-2,B*0.5+C*0.5:3-5", pipeline=True)


def instead(name: str, *nodes: NodeProto, **constants: np.ndarray) -> Change:
    """The graph with `nodes` behind the input `name`: what the last of them makes takes its place everywhere."""

    def change(model: onnx.ModelProto) -> None:
        graph, made = model.graph, nodes[-1].output[0]
        readers = [(node, index) for node in graph.node for index, read in enumerate(node.input) if read == name]
        assert readers
        for node, index in readers:
            node.input[index] = made
        graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in constants.items())
        for node in reversed(nodes):
            graph.node.insert(0, node)

    return change


def gathered(name: str, rows: Sequence[int], axis: int) -> Change:
    """The input's rows in another order."""
    node = helper.make_node("Gather", [name, "order"], ["mutant"], axis=axis)
    return instead(name, node, order=np.array(rows, np.int64))


def first_for_all(name: str) -> Change:
    """Every image of the batch given what is the first one's."""
    first = helper.make_node("Slice", [name, "start", "end", "axis"], ["first"])
    zero = helper.make_node("Mul", [name, "nothing"], ["zero"])
    every = helper.make_node("Add", ["zero", "first"], ["mutant"])
    ends = {"start": np.array([0]), "end": np.array([1]), "axis": np.array([0])}
    return instead(name, first, zero, every, **ends, nothing=np.float32(0))


def rolled(name: str) -> Change:
    """Every image of the batch given what is the next one's."""
    later = helper.make_node("Slice", [name, "one", "end", "axis"], ["later"])
    first = helper.make_node("Slice", [name, "axis", "one", "axis"], ["first"])
    both = helper.make_node("Concat", ["later", "first"], ["mutant"], axis=0)
    return instead(name, later, first, both, one=np.array([1]), end=np.array([END]), axis=np.array([0]))


def constant(name: str, value: np.ndarray) -> Change:
    """The input ignored, a constant in its place."""
    return instead(name, helper.make_node("Identity", ["value"], ["mutant"]), value=value.astype(np.float32))


def swapped(first: str, second: str) -> Change:
    """Two inputs in each other's places."""

    def change(model: onnx.ModelProto) -> None:
        names = {first: second, second: first}
        for node in model.graph.node:
            for index, read in enumerate(node.input):
                node.input[index] = names.get(read, read)

    return change


def failures(bundle: Bundle, folder: Path, graph: str, change: Change, batches: Sequence[int] = (1, 2)) -> list[str]:
    """What `verify` says of a bundle with one graph changed: graph and batch of each comparison that failed."""
    model = onnx.load(bundle.graph_path(graph))
    change(model)
    onnx.save(model, folder / "mutant.onnx")
    mutant = OnnxRuntimeGraph(folder / "mutant.onnx", RunOptions())
    graphs = dataclasses.replace(OpenGraphs.open(bundle), **{graph: mutant})  # type: ignore[arg-type]
    return [f"{item.graph} {item.batch}" for item in verify_golden(bundle, graphs, batches) if not item.passed]


def swap(count: int, row: int) -> list[int]:
    order = list(range(count))
    order[row], order[row + 1] = order[row + 1], order[row]
    return order


def test_an_unchanged_graph_passes(tiny_bundle: Bundle, many_classes: Bundle, masked: Bundle, folder: Path) -> None:
    for bundle in (tiny_bundle, many_classes, masked):
        for graph in ("mapping", "synthesis", "pipeline"):
            assert failures(bundle, folder, graph, lambda model: None, (1, 2, 3)) == []


@pytest.mark.parametrize("row", range(5))
def test_two_neighbouring_styles_swapped(tiny_bundle: Bundle, folder: Path, row: int) -> None:
    found = failures(tiny_bundle, folder, "synthesis", gathered("styles", swap(6, row), axis=1))
    assert found == ["synthesis 1", "synthesis 2"]


def test_the_last_layers_style_alone(tiny_bundle: Bundle, folder: Path) -> None:
    change = gathered("styles", [0, 1, 2, 3, 4, 4], axis=1)
    assert failures(tiny_bundle, folder, "synthesis", change) == ["synthesis 1", "synthesis 2"]


@pytest.mark.parametrize("graph", ["synthesis", "pipeline"])
def test_noise_of_two_layers_swapped(tiny_bundle: Bundle, folder: Path, graph: str) -> None:
    for first, second in (("noise_01", "noise_02"), ("noise_03", "noise_04")):
        found = failures(tiny_bundle, folder, graph, swapped(first, second))
        assert found == [f"{graph} 1", f"{graph} 2"]


@pytest.mark.parametrize("mixed_up", [first_for_all, rolled])
@pytest.mark.parametrize(
    ("graph", "name"),
    [
        ("synthesis", "styles"),
        ("synthesis", "noise_00"),
        ("synthesis", "noise_04"),
        ("pipeline", "z"),
        ("pipeline", "noise_00"),
        ("pipeline", "noise_04"),
        ("mapping", "z"),
    ],
)
def test_what_is_another_images_shows_in_a_batch_alone(
    tiny_bundle: Bundle, folder: Path, graph: str, name: str, mixed_up: Callable[[str], Change]
) -> None:
    assert failures(tiny_bundle, folder, graph, mixed_up(name), (1, 2, 3, 8)) == [f"{graph} {n}" for n in (2, 3, 8)]


@pytest.mark.parametrize("mixed_up", [first_for_all, rolled])
@pytest.mark.parametrize("graph", ["mapping", "pipeline"])
def test_another_images_label_shows_in_a_batch_alone(
    many_classes: Bundle, folder: Path, graph: str, mixed_up: Callable[[str], Change]
) -> None:
    assert failures(many_classes, folder, graph, mixed_up("c")) == [f"{graph} 2"]


def test_a_transform_ignored_or_another_images(stylegan3_bundle: Bundle, folder: Path) -> None:
    own = stylegan3_bundle.stored_transform
    assert own is not None
    found = failures(stylegan3_bundle, folder, "synthesis", constant("transform", own[None]))
    assert found == ["synthesis 1", "synthesis 2"]
    assert failures(stylegan3_bundle, folder, "synthesis", rolled("transform")) == ["synthesis 2"]


@pytest.mark.parametrize("graph", ["mapping", "pipeline"])
def test_any_two_classes_swapped_in_the_embedding(many_classes: Bundle, folder: Path, graph: str) -> None:
    """In the pipeline graph, which is given few one-hot labels, the blend of all shows it."""
    for row in range(CLASSES - 1):
        found = failures(many_classes, folder, graph, gathered("c", swap(CLASSES, row), axis=1), (1,))
        assert found == [f"{graph} 1"]


PSI = {
    "reversed": gathered("psi", [5, 4, 3, 2, 1, 0], axis=0),
    "the first row's for all": gathered("psi", [0] * 6, axis=0),
    "off by one": gathered("psi", [0, 0, 1, 2, 3, 4], axis=0),
    **{f"rows {row} and {row + 1} swapped": gathered("psi", swap(6, row), axis=0) for row in range(5)},
}


@pytest.mark.parametrize("case", PSI)
@pytest.mark.parametrize("which", ["tiny_bundle", "masked"])
def test_psi_of_other_rows(request: pytest.FixtureRequest, folder: Path, which: str, case: str) -> None:
    assert failures(request.getfixturevalue(which), folder, "pipeline", PSI[case], (1,)) == ["pipeline 1"]


def test_a_mask_that_is_off_by_one_row(masked: Bundle, folder: Path) -> None:
    wrong = export(tiny_checkpoint(), folder / "off", mask="A:0-1,B*0.5+C*0.5:2-5", pipeline=True)
    found = [f"{item.graph} {item.passed}" for item in verify_golden(masked, OpenGraphs.open(wrong), (1,))]
    assert found == ["mapping True", "synthesis False", "pipeline False"]


def test_two_sources_swapped(masked: Bundle, folder: Path) -> None:
    assert failures(masked, folder, "synthesis", gathered("styles", [1, 0, 2], axis=1), (1,)) == ["synthesis 1"]
    assert failures(masked, folder, "pipeline", swapped("z", "z_1"), (1,)) == ["pipeline 1"]


def test_one_weight_of_the_last_layer(tiny_bundle: Bundle, folder: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        for index, tensor in enumerate(model.graph.initializer):
            array = numpy_helper.to_array(tensor).copy()
            if array.shape == (4, 4, 3, 3):  # the last convolution's kernel
                array[2, 1, 0, 2] *= 1.01
                model.graph.initializer[index].CopyFrom(numpy_helper.from_array(array, tensor.name))
                return
        raise AssertionError([numpy_helper.to_array(item).shape for item in model.graph.initializer])

    assert failures(tiny_bundle, folder, "synthesis", change) == ["synthesis 1", "synthesis 2"]


def test_every_image_is_counted_once_however_often_it_is_drawn(tiny_bundle: Bundle) -> None:
    figures = verify_golden(tiny_bundle, OpenGraphs.open(tiny_bundle), (3, 2, 8))
    assert {(item.graph, item.batch): item.samples for item in figures} == {
        ("mapping", 3): 19,
        ("synthesis", 3): 8,
        ("pipeline", 3): 7,  # all at the first batch size; then as many as there are places in a batch
        ("mapping", 2): 19,
        ("synthesis", 2): 8,
        ("pipeline", 2): 2,
        ("mapping", 8): 19,
        ("synthesis", 8): 8,
        ("pipeline", 8): 7,
    }
