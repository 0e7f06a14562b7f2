"""The memory that `benchmarks.engine_memory` counts, against graphs and runners whose memory is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from benchmarks.engine_memory import buffer_bytes, engine_memory, main, peak_activations, weight_bytes
from runtime import Bundle, Generator
from runtime.engine_record import Profile
from tests.made_up_gpu.machine import Machine, add_engine

FLOAT = 4
"""Bytes."""


def model(nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto] = ()) -> onnx.ModelProto:
    """A graph from x [N, 4] to y."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None]) for name in ("x", "y")]
    ends[0].type.tensor_type.shape.dim[1].dim_value = 4
    graph = helper.make_graph(list(nodes), "made-up", ends[:1], ends[1:], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CHAIN = model(
    [
        helper.make_node("Neg", ["x"], ["a"]),  #             a                  4 values an image
        helper.make_node("Concat", ["a", "a"], ["b"], axis=1),  # a b           4 + 8
        helper.make_node("Relu", ["b"], ["c"]),  #            a b c              4 + 8 + 8
        helper.make_node("Concat", ["c", "c"], ["d"], axis=1),  # a   c d       4 + 8 + 16: the peak
        helper.make_node("Concat", ["d", "a"], ["y"], axis=1),  # a     d       y is an output
    ]
)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_tensor_lives_from_its_node_to_its_last_reader(batch: int) -> None:
    assert peak_activations(CHAIN, {"x": (batch, 4)}) == 28 * FLOAT * batch


def test_what_nobody_reads_is_freed_at_once() -> None:
    nodes = [
        helper.make_node("Concat", ["x", "x", "x", "x"], ["unused"], axis=1),  # 16
        helper.make_node("Neg", ["x"], ["a"]),  # 4
        helper.make_node("Relu", ["a"], ["b"]),  # 4 + 4
        helper.make_node("Neg", ["b"], ["y"]),
    ]
    assert peak_activations(model(nodes), {"x": (1, 4)}) == 16 * FLOAT
    assert peak_activations(model(nodes[1:]), {"x": (1, 4)}) == 8 * FLOAT


def test_types_have_their_own_size() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["a"], to=TensorProto.UINT8), helper.make_node("Cast", ["a"], ["y"], to=1)]
    assert peak_activations(model(nodes), {"x": (2, 4)}) == 2 * 4


def test_constants_are_weights_and_no_activations() -> None:
    constant = helper.make_tensor("w", TensorProto.FLOAT, [4, 6], [0.0] * 24)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
    assert weight_bytes(model(nodes, [constant])) == 24 * FLOAT
    assert peak_activations(model(nodes, [constant]), {"x": (1, 4)}) == 6 * FLOAT


def test_a_free_size_is_refused() -> None:
    with pytest.raises(ValueError, match="made-up: the shape of a is not known"):
        peak_activations(CHAIN, {})


def test_a_bundle(tiny_bundle: Bundle) -> None:
    graphs = [(tiny_bundle.graph(name), onnx.load(tiny_bundle.graph_path(name))) for name in ("mapping", "synthesis")]
    one, four = engine_memory("tiny", graphs, (1, 4))
    spec = tiny_bundle.spec
    noise = sum(height * width for height, width in spec.noise_shapes)
    image = 3 * 16 * 16
    assert one.buffers == FLOAT * (spec.z_dim + spec.w_dim + spec.num_ws * spec.w_dim + noise + image) + image
    assert (four.buffers, four.pinned, four.weights) == (4 * one.buffers, 4 * one.pinned, one.weights)
    constants = [onnx.numpy_helper.to_array(item) for _, found in graphs for item in found.graph.initializer]
    assert one.weights == sum(constant.nbytes for constant in constants)
    largest = spec.synthesis.largest_activation(spec.img_channels)
    assert FLOAT * largest < one.activations < four.activations <= 4 * one.activations
    assert one.total == one.weights + 2 * one.buffers + one.activations


def test_buffers_are_those_of_the_runner(tiny_bundle: Bundle, tmp_path: Path, machine: Machine) -> None:
    bundle = Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    add_engine(bundle, (Profile(1, 1, 2), Profile(5, 5, 5)))
    with Generator.load(bundle, "tensorrt") as generator:
        memory = generator.memory()
    assert memory is not None
    assert memory.buffers == buffer_bytes(bundle.graph("synthesis"), 5)


def test_the_command_prints_one_document() -> None:
    done = CliRunner().invoke(main, ["--network", "stylegan2:64", "--batch", "1", "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.output)["memory"]
    assert (row["network"], row["batch"]) == ("stylegan2:64", 1)
    assert row["weights"] > 4 * 22_000_000  # as many parameters as a 64 px config-f has, and a little padding


def test_an_unknown_network_is_refused() -> None:
    done = CliRunner().invoke(main, ["--network", "stylegan4:64"])
    assert done.exit_code == 2
    assert "'stylegan4:64' is not NETWORK:PIXELS like stylegan2:1024" in done.output
