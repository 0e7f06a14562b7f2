"""Small ONNX models of images: features, distances and attributes whose values are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

FREE = ("N", 3, "H", "W")


def write_model(
    path: Path,
    nodes: Sequence[tuple[str, Sequence[str], str]],
    inputs: Sequence[Sequence[int | str]] = (FREE,),
    output: Sequence[int | str | None] = ("N", "K"),
    dtype: int = TensorProto.FLOAT,
    outputs: int = 1,
    limit: float = 0.0,
) -> Path:
    """A model of nodes (operator, inputs, output); its inputs are image_0, ..., its output the last node's."""
    made = [helper.make_node(operator, list(names), [result]) for operator, names, result in nodes]
    graph = helper.make_graph(
        made,
        "model",
        [helper.make_tensor_value_info(f"image_{index}", dtype, shape) for index, shape in enumerate(inputs)],
        [helper.make_tensor_value_info(node[2], dtype, output) for node in nodes[-outputs:]],
        [
            helper.make_tensor("spatial", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("limit", TensorProto.FLOAT, [], [limit]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path


def flat_features(path: Path, shape: Sequence[int | str] = FREE) -> Path:
    """Every value of the picture is a feature."""
    return write_model(path, [("Flatten", ["image_0"], "features")], [shape])


def pair_distance(path: Path) -> Path:
    """The mean squared difference of two pictures, [N, 1, 1, 1]."""
    nodes = [
        ("Sub", ["image_0", "image_1"], "difference"),
        ("Mul", ["difference", "difference"], "square"),
        ("ReduceMean", ["square", "spatial"], "distance"),
    ]
    return write_model(path, nodes, [FREE, FREE], ("N", 1, 1, 1))


def brightness(path: Path, above: float = 0.0) -> Path:
    """A logit [N, 1]: by how much the mean of the picture is above a limit."""
    nodes = [
        ("ReduceMean", ["image_0", "spatial"], "mean"),
        ("Flatten", ["mean"], "brightness"),
        ("Sub", ["brightness", "limit"], "logit"),
    ]
    return write_model(path, nodes, output=("N", 1), limit=above)


def two_logits(path: Path) -> Path:
    """Logits [N, 2] of "dark" and "bright": minus the mean of the picture, and the mean."""
    nodes = [
        ("ReduceMean", ["image_0", "spatial"], "mean"),
        ("Flatten", ["mean"], "bright"),
        ("Neg", ["bright"], "dark"),
        ("Max", ["bright"], "same"),
    ]
    path = write_model(path, nodes, output=("N", 1))
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Concat", ["dark", "same"], ["logits"], axis=1))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", 2)))
    onnx.save(model, path)
    return path
