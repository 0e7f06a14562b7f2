"""Look a graph's nodes up in the tables, one after the other, those of branches, loop bodies and functions too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from exporter.tensorrt_lint.finding import Finding, Severity
from exporter.tensorrt_lint.nodes import NodeView, Scope
from exporter.tensorrt_lint.rules import RANDOM, refusals
from exporter.tensorrt_lint.tables import (
    BYTES,
    BYTES_READERS,
    LOCAL_FUNCTIONS_SINCE,
    NARROWED,
    OPERATORS,
    TYPES,
    Version,
    opset_range,
)
from runtime.engine_record import dotted
from runtime.errors import BundleError

ONNX_DOMAINS = ("", "ai.onnx")
"""Two names of ONNX's own operators."""
Where = tuple[str, str]
"""A node's or tensor's name, and its operator or what it is."""


@dataclass(frozen=True)
class GraphReport:
    """A graph's file, how many nodes it has with those of its subgraphs and functions, and what was found."""

    file: str
    nodes: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """What TensorRT would refuse."""
        return tuple(item for item in self.findings if item.severity is Severity.REFUSED)


def lint_graph(path: Path, version: Version) -> GraphReport:
    """Check an ONNX file against a TensorRT version. Raises BundleError where it can't be read."""
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise BundleError(f"{path}: is no ONNX graph ({str(error)[:100]}); export the bundle again") from None
    if not model.HasField("graph"):
        raise BundleError(f"{path}: is no ONNX graph (it holds none); export the bundle again")
    lint = _Lint(model, version)
    findings = tuple(lint.run())
    return GraphReport(path.name, lint.nodes, findings)


class _Lint:
    """One model against one version; counts the nodes that it looks at."""

    def __init__(self, model: onnx.ModelProto, version: Version) -> None:
        self.nodes = 0
        self._version, self._name = version, f"TensorRT {dotted(version)}"
        self._model = _with_types(model)
        self._functions = {(item.domain, item.name) for item in model.functions}
        self._opset = _opset(model.opset_import)

    def run(self) -> Iterator[Finding]:
        """Everything that there is to say, in the order of the file."""
        graph = self._model.graph
        yield from self._check_opset()
        yield from self._check_batch(graph)
        yield from self._check_graph(graph, None)
        for function in self._model.functions if self._version >= LOCAL_FUNCTIONS_SINCE else ():
            self._opset = _opset(function.opset_import) or self._opset
            yield from self._check_nodes(function.node, Scope({}, set(), set(), frozenset(function.output)))

    def _check_opset(self) -> Iterator[Finding]:
        oldest, newest = opset_range(self._version)
        if not oldest <= self._opset <= newest:
            where = (str(self._opset), "opset")
            yield _warning(where, f"{self._name} documents opset {oldest} to {newest}", "export with one of them")

    def _check_batch(self, graph: onnx.GraphProto) -> Iterator[Finding]:
        """A graph of which no input has a free first size runs for one batch alone."""
        weights = {item.name for item in graph.initializer}
        shapes = [item.type.tensor_type.shape.dim for item in graph.input if item.name not in weights]
        if shapes and not any(dims and not dims[0].HasField("dim_value") for dims in shapes):
            reason = "the first size of every input is fixed, so the engine runs for that batch alone"
            yield _warning((graph.input[0].name, "input"), reason, "export with a free batch")

    def _check_graph(self, graph: onnx.GraphProto, outer: Scope | None) -> Iterator[Finding]:
        scope = Scope.of(graph, outer)
        weights = {item.name for item in graph.initializer}
        for name in [item.name for item in graph.input if item.name not in weights]:
            yield from self._check_type((name, "input"), scope.tensors[name].type)
        for item in graph.initializer:
            yield from self._check_type((item.name, "initializer"), scope.tensors[item.name].type)
            if item.data_location == onnx.TensorProto.EXTERNAL:
                reason = "its values are in another file, which TensorRT finds only beside the graph's"
                yield _warning((item.name, "initializer"), reason, "store them inside the graph's file")
        yield from self._check_nodes(graph.node, scope)

    def _check_nodes(self, nodes: Iterable[onnx.NodeProto], scope: Scope) -> Iterator[Finding]:
        for number, proto in enumerate(nodes):
            self.nodes += 1
            node = NodeView.of(proto, number, scope)
            yield from self._check_node(node)
            for graph in node.subgraphs():
                yield from self._check_graph(graph, scope)

    def _check_node(self, node: NodeView) -> Iterator[Finding]:
        where = (node.name, node.operator)
        if (node.proto.domain, node.operator) in self._functions:
            if self._version < LOCAL_FUNCTIONS_SINCE:
                yield _refused(where, f"{self._name} reads no functions of a model's own", "inline them (onnx.inliner)")
            return
        since = OPERATORS.get(node.operator)
        if since is None or since > self._version:
            yield _refused(where, self._unknown(node, since), "write it in other operators, or bring a plugin")
            return
        if node.proto.domain not in ONNX_DOMAINS:
            # ModelImporter.cpp of every version looks importers up by the operator's name alone.
            reason = f"{self._name} ignores its domain {node.proto.domain!r} and takes it for ONNX's {node.operator}"
            yield _warning(where, reason, "make sure that it computes the same, or rename it")
        else:
            yield from self._check_definition(where)
        for reason, remedy in refusals(node, self._version):
            yield _refused(where, f"{self._name} does not take it: {reason}", remedy)
        if node.operator in RANDOM:
            # Tables of 8.5 to 10.15: `seed` is ignored.
            yield _warning(where, f"{self._name} ignores its seed, so no image can be drawn again", "make it an input")
        yield from self._check_types(node, where)

    def _unknown(self, node: NodeView, since: Version | None) -> str:
        if since is not None:
            return f"{self._name} has no such operator, {dotted(since)} and newer have it"
        if node.proto.domain in ONNX_DOMAINS:
            return f"no TensorRT up to {self._name.split()[1]} has this operator"
        return f"{self._name} has no operator of the domain {node.proto.domain!r}"

    def _check_definition(self, where: Where) -> Iterator[Finding]:
        """A newer definition than a version knows is misread: it does not look at the opset's number."""
        newest = opset_range(self._version)[1]
        try:
            defined = int(onnx.defs.get_schema(where[1], self._opset, "").since_version)
        except onnx.defs.SchemaError:
            return  # an operator of TensorRT's that ONNX has dropped
        if defined > newest:
            reason = f"its definition is of opset {defined}, {self._name} documents those up to {newest}"
            yield _refused(where, f"{reason} and may misread it", f"export with opset {newest} or older")

    def _check_types(self, node: NodeView, where: Where) -> Iterator[Finding]:
        """The types that a node makes, and bytes, which only an input or output of the network may be."""
        kinds = node.output_types()
        for kind in dict.fromkeys(kinds.values()):
            yield from self._check_type(where, kind)
        alone = f"{BYTES}, which {self._name} has at inputs and outputs of a network alone"
        varying = [index for index in range(len(node.proto.input)) if node.varies(index)]
        if node.operator not in BYTES_READERS and any(node.type_of(index) == BYTES for index in varying):
            yield _refused(where, f"it computes with {alone}", "cast to FLOAT first")
        elif varying and any(kind == BYTES and name not in node.scope.outputs for name, kind in kinds.items()):
            yield _refused(where, f"it makes {alone}", "compute in FLOAT and cast at the end")

    def _check_type(self, where: Where, kind: str | None) -> Iterator[Finding]:
        if kind is None:
            return
        since = TYPES.get(kind)
        if since is None:
            yield _refused(where, f"it is {kind}, a type that TensorRT has not", "use FLOAT or INT32")
        elif since > self._version:
            reason = f"it is {kind}, which TensorRT {dotted(since)} and newer have"
            yield _refused(where, reason, "use FLOAT16 or FLOAT")
        elif kind == NARROWED:
            yield _warning(where, f"it is {kind}, of which {self._name} makes FLOAT without a word", "use FLOAT")


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the types between its ends; as it is where they can't be inferred."""
    try:
        return onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return model


def _opset(imports: Iterable[onnx.OperatorSetIdProto]) -> int:
    return max((item.version for item in imports if item.domain in ONNX_DOMAINS), default=0)


def _refused(where: Where, reason: str, remedy: str) -> Finding:
    return Finding(*where, Severity.REFUSED, reason, remedy)


def _warning(where: Where, reason: str, remedy: str) -> Finding:
    return Finding(*where, Severity.WARNING, reason, remedy)
