"""ONNX files as the bytes they are: what their nodes put out, their opset, and outputs added to them.

A device that runs engines has no onnx package, and needs none for this. A model is a protocol buffer: fields one after
the other, each a tag (its number and type) and a value; and of a message given twice, the parts add up. So a graph gets
further outputs by appending bytes (protobuf.dev, "Encoding"; field numbers from onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime.errors import BundleError

MODEL_GRAPH, MODEL_OPSETS = 7, 8
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_OUTPUT = 1, 5, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TYPE = 1, 3, 20
INIT_DIMS, INIT_TYPE, INIT_NAME, INIT_RAW = 1, 2, 8, 9
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, TENSOR_ELEMENT, TENSOR_SHAPE, SHAPE_DIM = 1, 2, 1, 1, 2, 1
"""Field numbers of ONNX's messages."""
INT_ATTRIBUTE = 2
"""What an attribute's type field says of a whole number."""
FLOAT, INT64 = 1, 7
"""ONNX's numbers of types."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Types of a field's value on the wire."""
WIDTHS = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10
"""Bytes of a 64-bit number, seven bits each."""


@dataclass(frozen=True)
class ModelFile:
    """What a graph's nodes put out, in order, and the opset of ONNX's own operators that it is written in."""

    values: tuple[str, ...]
    opset: int

    @classmethod
    def read(cls, data: bytes, where: str) -> ModelFile:
        """Raises BundleError where the bytes are no ONNX model."""
        values: list[str] = []
        opset = 0
        try:
            for number, item in _fields(memoryview(data)):
                if number == MODEL_GRAPH and isinstance(item, memoryview):
                    values += _node_outputs(item)
                if number == MODEL_OPSETS and isinstance(item, memoryview):
                    opset = _own_opset(item) or opset
        except (IndexError, ValueError):
            raise BundleError(f"{where}: is not an ONNX model; export the bundle again") from None
        return cls(tuple(values), opset)


@dataclass(frozen=True)
class AddedOutput:
    """A value of a graph, of `rank` dimensions, that is to be an output too.

    As it is, cast to float32, or its first `channels` alone.
    """

    value: str
    rank: int
    cast: bool = False
    channels: int | None = None

    @property
    def name(self) -> str:
        """What the output is called: by the value's name where it is the value."""
        return f"{self.value}.plain" if self.cast or self.channels is not None else self.value


def with_outputs(data: bytes, outputs: Sequence[AddedOutput]) -> bytes:
    """A model with further outputs, float32 all, after those that it has."""
    graph = b""
    for item in outputs:
        graph += _nodes(item)
        shape = _message(SHAPE_DIM, b"") * item.rank  # of unknown sizes
        tensor = _message(TYPE_TENSOR, _number(TENSOR_ELEMENT, FLOAT) + _message(TENSOR_SHAPE, shape))
        graph += _message(GRAPH_OUTPUT, _text(VALUE_NAME, item.name) + _message(VALUE_TYPE, tensor))
    return data + _message(MODEL_GRAPH, graph)


def _nodes(item: AddedOutput) -> bytes:
    """What makes an output of a value; a graph's nodes are in order, so that more may stand at its end."""
    made, value = b"", item.value
    if item.channels is not None:
        numbers = {"from": 0, "to": item.channels, "axis": 1}
        names = [f"{item.name}.{what}" for what in numbers]
        for name, number in zip(names, numbers.values()):
            tensor = _number(INIT_DIMS, 1) + _number(INIT_TYPE, INT64) + _text(INIT_NAME, name)
            made += _message(GRAPH_INITIALIZER, tensor + _message(INIT_RAW, number.to_bytes(8, "little")))
        target = f"{item.name}.cut" if item.cast else item.name
        made += _node("Slice", [value, *names], target)
        value = target
    if item.cast:
        to = _text(ATTRIBUTE_NAME, "to") + _number(ATTRIBUTE_INT, FLOAT) + _number(ATTRIBUTE_TYPE, INT_ATTRIBUTE)
        made += _node("Cast", [value], item.name, _message(NODE_ATTRIBUTE, to))
    return made


def _node(operator: str, inputs: Sequence[str], output: str, attributes: bytes = b"") -> bytes:
    taken = b"".join(_text(NODE_INPUT, name) for name in inputs)
    named = _text(NODE_OUTPUT, output) + _text(NODE_NAME, f"{output}_{operator}") + _text(NODE_OP, operator)
    return _message(GRAPH_NODE, taken + named + attributes)


def _node_outputs(graph: memoryview) -> Iterator[str]:
    for number, node in _fields(graph):
        if number == GRAPH_NODE and isinstance(node, memoryview):
            for field, value in _fields(node):
                if field == NODE_OUTPUT and isinstance(value, memoryview):
                    yield bytes(value).decode()


def _own_opset(entry: memoryview) -> int:
    """The version of an opset entry; 0 where it is of another domain than ONNX's own."""
    domain, version = b"", 0
    for number, value in _fields(entry):
        if number == OPSET_DOMAIN and isinstance(value, memoryview):
            domain = bytes(value)
        if number == OPSET_VERSION and isinstance(value, int):
            version = value
    return version if domain in (b"", b"ai.onnx") else 0


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number, and its value: a number, or a view of its bytes. Nothing is copied."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = WIDTHS.get(kind, 0)
        if kind == BYTES:
            size, at = _varint(data, at)
        elif not size:
            raise ValueError(f"field {number} has the type {kind}")
        if at + size > len(data):
            raise ValueError(f"field {number} has {size} bytes, more than there are")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and where what follows it begins."""
    value = 0
    for index in range(LONGEST_VARINT):
        byte = data[at + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, at + index + 1
    raise ValueError("a number has no end")


def _as_varint(number: int) -> bytes:
    parts = []
    while number >= 128:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _number(field: int, value: int) -> bytes:
    return _as_varint(field << 3 | VARINT) + _as_varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _as_varint(field << 3 | BYTES) + _as_varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
