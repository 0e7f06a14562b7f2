"""Up-convolutions of an ONNX graph: found where they stand as they are defined, written down in any other form.

What is found is a transposed convolution of 3 x 3 taps and stride 2, the depthwise filter after it, and, where the
filter needs it, the Slice that cuts 2H x 2W values out: `runtime.up_forms`'s TRANSPOSED, as export writes it. A large
layer may stand there in several such pairs, whose results are put together; each is an up-convolution by itself.

Needs onnx, which the extra `tune` brings; nothing else of `engines` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.extras import require
from runtime.opsets import IR_VERSIONS, OPSET
from runtime.up_forms import (
    UP,
    Branches,
    Correlation,
    Crop,
    Interleave,
    Step,
    TransposedConvolution,
    UpForm,
    available_forms,
    up_steps,
)

KERNEL = 3
"""Taps of an up-convolution's kernel along an axis."""
ROUNDINGS = 4
"""Units of the last place, of the largest tap, by which a filter's taps may differ from a product of two lines: each
was rounded once, and finding the line adds about as much."""
INPUT, OUTPUT, BATCH = "x", "y", "batch"
"""Names in a layer's graph."""
_DEFAULTS: dict[str, Any] = {
    "auto_pad": b"NOTSET",
    "dilations": [1, 1],
    "group": 1,
    "output_padding": [0, 0],
    "pads": [0, 0, 0, 0],
    "strides": [1, 1],
}
"""ONNX's own, of two-dimensional convolutions."""


@dataclass(frozen=True, eq=False)
class UpLayer:
    """An up-convolution of a graph, [N, in, side, side] -> [N, out, 2 side, 2 side].

    `weight` [out, in, 3, 3] and `taps` [T] are float64, as `up_steps` takes them; `dtype` is what the graph computes
    in. `source` and `result` name its input and output, `nodes` the places of its operators.
    """

    name: str
    weight: np.ndarray
    taps: np.ndarray
    side: int
    dtype: np.dtype
    source: str
    result: str
    nodes: tuple[int, ...]

    @property
    def forms(self) -> list[UpForm]:
        """What it can be written as; TRANSPOSED, which it is, comes first."""
        return available_forms(self.taps)


class UpGraph:
    """A graph and its up-convolutions, in the graph's order."""

    def __init__(self, content: bytes) -> None:
        """Read a graph. Raises MissingDependencyError without onnx."""
        self._model: Any = _onnx().load_model_from_string(content)
        self.layers: tuple[UpLayer, ...] = tuple(_Finder(self._model).find())

    def rewritten(self, forms: Mapping[str, UpForm]) -> bytes:
        """The graph with the layers of these names in these forms, all else as it is; the same bytes each time.

        Raises KeyError for a name that is no layer's, ValueError for a form that the layer's filter does not allow.
        """
        known = {layer.name: layer for layer in self.layers}
        changed = {known[name]: form for name, form in forms.items() if form is not UpForm.TRANSPOSED}
        model: Any = type(self._model)()
        model.CopyFrom(self._model)
        _replace(model.graph, changed)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def layer_graph(layer: UpLayer, form: UpForm) -> bytes:
    """A graph of one layer alone, in a form: `x` [batch, in, side, side] -> `y` [batch, out, 2 side, 2 side]."""
    helper = _onnx().helper
    kind = helper.np_dtype_to_tensor_dtype(layer.dtype)
    outputs, inputs = layer.weight.shape[:2]
    writer = _Writer(layer, form, {INPUT, OUTPUT})
    writer.write(INPUT, OUTPUT)
    graph = helper.make_graph(
        writer.nodes,
        "up_convolution",
        [helper.make_tensor_value_info(INPUT, kind, [BATCH, inputs, layer.side, layer.side])],
        [helper.make_tensor_value_info(OUTPUT, kind, [BATCH, outputs, UP * layer.side, UP * layer.side])],
        writer.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSIONS[OPSET]).SerializeToString(
        deterministic=True
    )
    return content


def line_of(kernel: np.ndarray) -> np.ndarray | None:
    """The taps [T] whose product with themselves every channel of a depthwise filter [C, 1, T, T] is; None if none is.

    Their sign is lost, and does not matter: the filter takes them along both axes.
    """
    table = kernel[0, 0].astype(np.float64)
    if (kernel != kernel[:1]).any() or table.shape[0] != table.shape[1] or not np.isfinite(table).all():
        return None
    values, vectors = np.linalg.eigh((table + table.T) / 2)
    if values[-1] <= 0:
        return None
    line: np.ndarray = vectors[:, -1] * np.sqrt(values[-1])
    allowed = ROUNDINGS * float(np.finfo(kernel.dtype).eps) * np.abs(table).max()
    if np.abs(np.outer(line, line) - table).max() > allowed:
        return None
    return line if line.sum() >= 0 else -line


def _onnx() -> Any:
    return require("onnx", extra="tune")


class _Finder:
    """Looks at a graph's nodes, constants and shapes."""

    def __init__(self, model: Any) -> None:
        self._onnx = _onnx()
        graph = model.graph
        self._nodes: Sequence[Any] = graph.node
        self._constants = {item.name: item for item in graph.initializer}
        inferred = self._onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self._shapes = {item.name: _shape(item) for item in (*inferred.input, *inferred.value_info)}
        self._users: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for name in node.input:
                self._users.setdefault(name, []).append(index)
        self._results = {item.name for item in graph.output}
        self._names: set[str] = set()

    def find(self) -> list[UpLayer]:
        """Every up-convolution; none in a graph with branches or loops, whose bodies may use any value."""
        graph_kinds = (self._onnx.AttributeProto.GRAPH, self._onnx.AttributeProto.GRAPHS)
        if any(item.type in graph_kinds for node in self._nodes for item in node.attribute):
            return []
        found = (self._layer(index) for index in range(len(self._nodes)))
        return [layer for layer in found if layer is not None]

    def _layer(self, index: int) -> UpLayer | None:
        node = self._nodes[index]
        kernel, side = self._kernel(node, "ConvTranspose"), self._side(node)
        if kernel is None or side is None or kernel.shape[2:] != (KERNEL, KERNEL):
            return None
        weight = kernel.astype(np.float64).swapaxes(0, 1)
        if _settings(node) != {**_DEFAULTS, "strides": [UP, UP]}:
            return None
        place = self._only_user(node.output[0], "Conv")
        taps = None if place is None else self._taps(self._nodes[place], kernel)
        if place is None or taps is None:
            return None
        _, correlation, *crops = up_steps(UpForm.TRANSPOSED, weight, taps)
        assert isinstance(correlation, Correlation)
        pads = [*correlation.padding, *correlation.padding]
        if _settings(self._nodes[place]) != {**_DEFAULTS, "group": len(weight), "pads": pads}:
            return None
        ends = self._cropped(self._nodes[place].output[0], crops, side)
        if ends is None:
            return None
        slices, result = ends
        name = self._free_name(node.input[1].removesuffix(".weight0"))
        return UpLayer(name, weight, taps, side, kernel.dtype, node.input[0], result, (index, place, *slices))

    def _kernel(self, node: Any, operator: str) -> np.ndarray | None:
        """A convolution's constant kernel of four dimensions, where it has no bias."""
        if node.op_type != operator or node.domain not in ("", "ai.onnx") or len(node.input) != 2:
            return None
        kernel = self._constant(node.input[1])
        floating = kernel is not None and kernel.ndim == 4 and np.issubdtype(kernel.dtype, np.floating)
        return kernel if floating else None

    def _constant(self, name: str) -> np.ndarray | None:
        item = self._constants.get(name)
        return None if item is None else np.asarray(self._onnx.numpy_helper.to_array(item))

    def _side(self, node: Any) -> int | None:
        """Height and width of a node's first input, where they are known and the same."""
        shape = self._shapes.get(node.input[0]) if node.input else None
        if shape is None or len(shape) != 4 or shape[2] != shape[3]:
            return None
        return shape[3]

    def _taps(self, node: Any, kernel: np.ndarray) -> np.ndarray | None:
        """An up-convolution's filter, as a true convolution, from the depthwise correlation that it stands there as."""
        depthwise = self._kernel(node, "Conv")
        if depthwise is None or depthwise.shape[:2] != (kernel.shape[1], 1) or depthwise.dtype != kernel.dtype:
            return None
        line = line_of(depthwise)
        return None if line is None else line[::-1]

    def _cropped(self, name: str, crops: Sequence[Step], side: int) -> tuple[list[int], str] | None:
        """The Slices that do what a Crop does, along an axis each or both at once, and their result."""
        wanted = {}
        for crop in crops:
            assert isinstance(crop, Crop)
            size = crop.factor * side + crop.offset
            wanted = {axis: (begin, begin + size) for axis, begin in zip((2, 3), crop.begin)}
        places: list[int] = []
        while wanted:
            place = self._only_user(name, "Slice")
            spans = {} if place is None else self._spans(self._nodes[place])
            if place is None or not spans or any(wanted.pop(axis, None) != span for axis, span in spans.items()):
                return None
            places.append(place)
            name = self._nodes[place].output[0]
        return places, name

    def _spans(self, node: Any) -> dict[int, tuple[int, int]]:
        """What a Slice of constant arguments takes, by axis; empty where its arguments are no constants or it steps."""
        arguments = [self._constant(name) for name in node.input[1:]]
        if len(arguments) not in (3, 4) or any(item is None for item in arguments):
            return {}
        starts, ends, axes, *steps = (item.tolist() for item in arguments if item is not None)
        if any(step != 1 for line in steps for step in line):
            return {}
        return {axis: (start, end) for axis, start, end in zip(axes, starts, ends)}

    def _only_user(self, name: str, operator: str) -> int | None:
        """The node that takes a value as its first input, where it is of this kind and nothing else takes it."""
        users = self._users.get(name, [])
        if len(users) != 1 or name in self._results:
            return None
        node = self._nodes[users[0]]
        return users[0] if node.op_type == operator and node.input[0] == name else None

    def _free_name(self, name: str) -> str:
        """A layer's name; one kernel may stand in several layers."""
        return _free(name, self._names)


class _Writer:
    """The nodes and constants of a layer in a form, with names that are in no use."""

    def __init__(self, layer: UpLayer, form: UpForm, taken: set[str]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._layer, self._form, self._taken = layer, form, taken
        self._prefix = f"{layer.name}.{form.value}"
        self._onnx = _onnx()

    def write(self, source: str, result: str) -> None:
        """Write all of it, from a value to another."""
        self._chain(up_steps(self._form, self._layer.weight, self._layer.taps), source)
        self.nodes[-1].output[0] = result

    def _chain(self, steps: Sequence[Step], value: str) -> str:
        for index, step in enumerate(steps):
            if isinstance(step, Branches):
                # All of the first result's channels, then all of the second's: what DepthToSpace's DCR takes. CRD, with
                # the four of a channel side by side, would move them once more before.
                assert isinstance(steps[index + 1], Interleave)
                parts = [self._chain(part, value) for part in step.parts]
                value = self._node("Concat", parts, axis=1)
            elif isinstance(step, Interleave):
                mode = "DCR" if index and isinstance(steps[index - 1], Branches) else "CRD"
                value = self._node("DepthToSpace", [value], blocksize=UP, mode=mode)
            else:
                value = self._step(step, value)
        return value

    def _step(self, step: Step, value: str) -> str:
        if isinstance(step, TransposedConvolution):
            pads, shape = [step.padding] * 4, list(step.weight.shape[2:])
            inputs = [value, self._weight(step.weight)]
            return self._node("ConvTranspose", inputs, kernel_shape=shape, pads=pads, strides=[UP, UP])
        if isinstance(step, Correlation):
            pads, shape = [*step.padding, *step.padding], list(step.weight.shape[2:])
            inputs = [value, self._weight(step.weight)]
            return self._node("Conv", inputs, group=step.groups, kernel_shape=shape, pads=pads)
        assert isinstance(step, Crop)
        size = step.factor * self._layer.side + step.offset
        ends = [begin + size for begin in step.begin]
        return self._node("Slice", [value, *map(self._integers, (step.begin, ends, (2, 3)))])

    def _weight(self, array: np.ndarray) -> str:
        """A constant, rounded once from float64 to the graph's type."""
        return self._constant(array.astype(self._layer.dtype))

    def _integers(self, values: Sequence[int]) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, array: np.ndarray) -> str:
        name = self._name("constant", len(self.constants))
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = self._name(operator, len(self.nodes))
        self.nodes.append(self._onnx.helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def _name(self, kind: str, index: int) -> str:
        return _free(f"{self._prefix}.{kind}_{index}", self._taken)


def _replace(graph: Any, changed: Mapping[UpLayer, UpForm]) -> None:
    """Put other nodes in the place of some layers', and drop the constants that nothing takes any more."""
    taken = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    new: dict[int, list[Any]] = {}
    for layer, form in changed.items():
        writer = _Writer(layer, form, taken)
        writer.write(layer.source, layer.result)
        new[layer.nodes[0]] = writer.nodes
        graph.initializer.extend(writer.constants)
    gone = {place for layer in changed for place in layer.nodes}
    dropped = {name for place in gone for name in (*graph.node[place].input, *graph.node[place].output)}
    nodes = [item for place, node in enumerate(graph.node) for item in new.get(place, [] if place in gone else [node])]
    kept = [_copy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    dropped -= {name for node in kept for name in (*node.input, *node.output)}
    for items in (graph.initializer, graph.value_info):
        left = [_copy(item) for item in items if item.name not in dropped]
        del items[:]
        items.extend(left)


def _copy(item: Any) -> Any:
    """A message of its own: what a list holds goes with the list."""
    copy = type(item)()
    copy.CopyFrom(item)
    return copy


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; taken from now on."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _settings(node: Any) -> dict[str, Any]:
    """A convolution's attributes, but for its kernel's size, which the kernel tells."""
    value = _onnx().helper.get_attribute_value
    given = {item.name: value(item) for item in node.attribute if item.name != "kernel_shape"}
    return {**_DEFAULTS, **given}


def _shape(info: Any) -> tuple[int | None, ...] | None:
    """A value's sizes, None for a free one; None where nothing is known."""
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
