"""A graph opened for surgery: nodes are found by the layers that they lie between, and changed one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from exporter.checkpoints import Checkpoint

STYLES = "Split"
"""The operator that hands each layer its style and its demodulation out of all layers'. What is behind it is all
layers' own, so that the nodes of one layer begin after it."""
GRAPH_OUTPUTS = ("image", "pixels", "w", "ws")


class Patient:
    """An ONNX model, and what its layers are called.

    A constant is changed for one node alone: others may read the same one.
    """

    def __init__(self, model: onnx.ModelProto, checkpoint: Checkpoint) -> None:
        self.graph, self.checkpoint, self.spec = model.graph, checkpoint, checkpoint.spec
        layers = [item.name for item in self.spec.outputs]
        self._named = {*layers, *GRAPH_OUTPUTS}
        self._last = {layers[-1]: "image", layers[len(self.spec.mapping.features) - 1]: "w"}
        self._made = 0

    def nodes(self, layer: str, operator: str | None = None) -> list[NodeProto]:
        """The nodes that make a layer's output out of those of the layers before it, in order, or one kind of them."""
        makers = {name: node for node in self.graph.node for name in node.output}
        wanted: set[str] = set()
        waiting = [layer if layer in makers else self._last[layer]]
        while waiting:
            maker = makers.get(waiting.pop())
            if maker is None or maker.output[0] in wanted or maker.op_type == STYLES:
                continue
            wanted.add(maker.output[0])
            waiting += [name for name in maker.input if name not in self._named]
        return [node for node in self.graph.node if node.output[0] in wanted and operator in (None, node.op_type)]

    def node(self, layer: str, operator: str, index: int = 0) -> NodeProto:
        """One of them."""
        found = self.nodes(layer, operator)
        assert found, f"{layer} has no {operator}"
        return found[index]

    def readers(self, name: str) -> Iterator[tuple[NodeProto, int]]:
        """The nodes that read a value, and where among their inputs."""
        for node in self.graph.node:
            for index, read in enumerate(node.input):
                if read == name:
                    yield node, index

    def constant_of(self, node: NodeProto) -> int:
        """Which input of a node is a constant."""
        known = {tensor.name for tensor in self.graph.initializer}
        return next(index for index, name in enumerate(node.input) if name in known)

    def find(self, name: str) -> str:
        """A constant's name, by the end of it: parts of the pipeline graph have a prefix."""
        names: list[str] = [tensor.name for tensor in self.graph.initializer]
        return next(item for item in names if item == name or item.endswith(f".{name}"))

    def array(self, name: str) -> np.ndarray:
        """A constant, writable."""
        tensor = next(tensor for tensor in self.graph.initializer if tensor.name == name)
        return np.array(numpy_helper.to_array(tensor))

    def put(self, node: NodeProto, index: int, array: np.ndarray) -> None:
        """Give a node another constant."""
        node.input[index] = self.constant(array)

    def change(self, name: str, array: np.ndarray) -> None:
        """Give every node that reads a constant another one."""
        tensor = next(tensor for tensor in self.graph.initializer if tensor.name == name)
        before = numpy_helper.to_array(tensor)
        assert before.shape == array.shape
        assert before.tobytes() != array.astype(before.dtype).tobytes(), f"{name} is as it was"
        tensor.CopyFrom(numpy_helper.from_array(array.astype(before.dtype), name))

    def constant(self, array: np.ndarray) -> str:
        """A constant that was not there."""
        name = self._fresh()
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def leave_out(self, node: NodeProto, keep: int = 0) -> None:
        """The node hands on one of its inputs and does nothing else."""
        kept = node.input[keep]
        node.op_type = "Identity"
        del node.input[:], node.attribute[:]
        node.input.append(kept)

    def before(self, node: NodeProto, index: int, operator: str, *others: np.ndarray | str, **settings: Any) -> None:
        """Another node between one and its input; `others` are further inputs of it."""
        self._insert(node, operator, [node.input[index], *self._names(others)], settings, target := self._fresh())
        node.input[index] = target

    def after(self, node: NodeProto, operator: str, *others: np.ndarray | str, **settings: Any) -> None:
        """Another node that takes what a node puts out and puts out what it did."""
        name, moved = node.output[0], self._fresh()
        node.output[0] = moved
        added = helper.make_node(operator, [moved, *self._names(others)], [name], **settings)
        self.graph.node.insert(self._place(node) + 1, added)

    def rolled(self, node: NodeProto, index: int) -> None:
        """An input of a node, each image's the next one's of the batch."""
        given, (later, first, both) = node.input[index], (self._fresh() for _ in range(3))
        zero, one, end = (self.constant(np.array([number])) for number in (0, 1, np.iinfo(np.int64).max))
        self._insert(node, "Slice", [given, one, end, zero], {}, later)
        self._insert(node, "Slice", [given, zero, one, zero], {}, first)
        self._insert(node, "Concat", [later, first], {"axis": 0}, both)
        node.input[index] = both

    def first_for_all(self, node: NodeProto, index: int) -> None:
        """An input of a node, each image's the first one's of the batch."""
        given, (first, nothing, every) = node.input[index], (self._fresh() for _ in range(3))
        zero, one = (self.constant(np.array([number])) for number in (0, 1))
        self._insert(node, "Slice", [given, zero, one, zero], {}, first)
        self._insert(node, "Sub", [given, given], {}, nothing)
        self._insert(node, "Add", [nothing, first], {}, every)
        node.input[index] = every

    def set(self, node: NodeProto, name: str, value: Any) -> None:
        """Another value of an attribute."""
        kept = [item for item in node.attribute if item.name != name]
        assert len(kept) < len(node.attribute), f"{node.op_type} has no {name}"
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    def get(self, node: NodeProto, name: str) -> Any:
        """The value of an attribute."""
        return next(helper.get_attribute_value(item) for item in node.attribute if item.name == name)

    def _insert(self, node: NodeProto, operator: str, inputs: list[str], settings: Any, output: str) -> None:
        self.graph.node.insert(self._place(node), helper.make_node(operator, inputs, [output], **settings))

    def _place(self, node: NodeProto) -> int:
        return next(index for index, item in enumerate(self.graph.node) if item.output[0] == node.output[0])

    def _names(self, others: tuple[np.ndarray | str, ...]) -> list[str]:
        return [item if isinstance(item, str) else self.constant(np.asarray(item)) for item in others]

    def _fresh(self) -> str:
        self._made += 1
        return f"mutant_{self._made}"
