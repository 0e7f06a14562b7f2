"""A node with what is known of its surroundings: the types of its tensors, and which of them inputs decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import TensorProto, helper

SHAPE_READERS = frozenset({"Shape", "Size"})
"""What they give follows from an input's shape, not from its values."""
FOLDED = frozenset({"Cast", "Constant", "Identity"})
"""What TensorRT's parser works out itself; a sum or a Concat of constants is a tensor to it."""


@dataclass(frozen=True)
class Tensor:
    """A tensor's type, as ONNX names it, and its number of dimensions; None where not known."""

    type: str | None = None
    rank: int | None = None


@dataclass
class Scope:
    """The tensors that a graph's nodes may read, its own and those of the graphs around it.

    `varying` are those whose values an input decides, `computed` those that the parser does not know.
    """

    tensors: dict[str, Tensor]
    varying: set[str]
    computed: set[str]
    outputs: frozenset[str]

    @classmethod
    def of(cls, graph: onnx.GraphProto, outer: Scope | None = None) -> Scope:
        """The scope of a graph after type inference."""
        weights = {item.name: Tensor(_type_name(item.data_type), len(item.dims)) for item in graph.initializer}
        values = (*graph.input, *graph.value_info, *graph.output)
        tensors = {item.name: _tensor(item.type) for item in values} | weights
        inputs = {item.name for item in graph.input} - weights.keys()
        scope = cls(
            {**(outer.tensors if outer else {}), **tensors},
            (outer.varying if outer else set()) | inputs,
            (outer.computed if outer else set()) | inputs,
            frozenset(item.name for item in graph.output),
        )
        scope._follow(graph.node)
        return scope

    def _follow(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Mark what is made of what; nodes are in order."""
        for node in nodes:
            if node.op_type not in SHAPE_READERS and self.varying.intersection(node.input):
                self.varying.update(node.output)
            if node.op_type not in FOLDED or self.computed.intersection(node.input):
                self.computed.update(node.output)


@dataclass(frozen=True)
class NodeView:
    """A node, and its number in its graph."""

    proto: onnx.NodeProto
    number: int
    scope: Scope
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, proto: onnx.NodeProto, number: int, scope: Scope) -> NodeView:
        """Read a node; an attribute that refers to a function's is left out."""
        known = [item for item in proto.attribute if not item.ref_attr_name]
        return cls(proto, number, scope, {item.name: _value(item) for item in known})

    @property
    def operator(self) -> str:
        """What it computes."""
        return self.proto.op_type

    @property
    def name(self) -> str:
        """Its name, or its number where it has none."""
        return self.proto.name or f"number {self.number}"

    @property
    def outputs(self) -> Sequence[str]:
        """The names of what it gives; empty for one left out."""
        return self.proto.output

    @property
    def equation(self) -> str:
        """Einsum's."""
        return str(self.attribute("equation", ""))

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's value; the default where it has none, or one of another kind than the default's."""
        value = self.attributes.get(name, default)
        return value if default is None or isinstance(value, type(default)) else default

    def varies(self, index: int) -> bool:
        """Whether the values of an input of the graph decide this input."""
        return len(self.proto.input) > index and self.proto.input[index] in self.scope.varying

    def computes(self, index: int) -> bool:
        """Whether this input is neither an initializer nor folded into one."""
        return len(self.proto.input) > index and self.proto.input[index] in self.scope.computed

    def type_of(self, index: int) -> str | None:
        """The type of an input."""
        return self._input(index).type

    def rank(self, index: int) -> int | None:
        """The number of dimensions of an input."""
        return self._input(index).rank

    def output_types(self) -> dict[str, str]:
        """The types of its outputs, as far as known."""
        found = {name: self.scope.tensors.get(name, Tensor()).type for name in self.outputs if name}
        return {name: kind for name, kind in found.items() if kind is not None}

    def subgraphs(self) -> list[onnx.GraphProto]:
        """The graphs that it holds: branches and loop bodies."""
        alone = [item.g for item in self.proto.attribute if item.type == onnx.AttributeProto.GRAPH]
        return alone + [graph for item in self.proto.attribute for graph in item.graphs]

    def _input(self, index: int) -> Tensor:
        if len(self.proto.input) <= index:
            return Tensor()
        return self.scope.tensors.get(self.proto.input[index], Tensor())


def _tensor(kind: onnx.TypeProto) -> Tensor:
    if not kind.HasField("tensor_type"):
        return Tensor()
    tensor = kind.tensor_type
    return Tensor(_type_name(tensor.elem_type), len(tensor.shape.dim) if tensor.HasField("shape") else None)


def _type_name(number: int) -> str | None:
    known = number in TensorProto.DataType.values() and number != TensorProto.UNDEFINED
    return str(TensorProto.DataType.Name(number)) if known else None


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, list):
        return tuple(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
