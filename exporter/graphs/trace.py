"""Trace a module into an ONNX graph that every supported TensorRT reads: opset 17, dynamic batch, no debris."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn

from exporter.networks.marks import WRAPPED, Marked
from runtime.errors import ExportError
from runtime.opsets import IR_VERSIONS, OPSET

LEAST_TRACED = 18
"""The least that torch's exporter writes. Its graphs are relabelled, where every operator's definition is the same."""
DEBRIS = frozenset({"Shape", "Constant", "Identity"})
"""Operators that a finished graph must not hold: they say that a batch was baked or a constant not folded."""
PRODUCER = "stylegan-edge"
BATCH = "batch"
"""Name of the free first dimension of inputs and outputs."""
TRACE_BATCH = 16411
"""Size that free dimensions are traced at: a prime above the largest width (runtime.spec.MAX_WIDTH), so that no size of
a network, and no product of its sizes, is a multiple of it."""


@dataclass(frozen=True)
class GraphInput:
    """An input: its name, an example to trace with (never read), the name of its first dimension (None: fixed).

    A free first dimension is traced at TRACE_BATCH, or at 1 where it may be 1 or N: every operator on it broadcasts.
    """

    name: str
    example: torch.Tensor
    batch: str | None = None


def trace(
    module: nn.Module,
    name: str,
    arguments: Any,
    inputs: Sequence[GraphInput],
    outputs: Sequence[str],
    opset: int = OPSET,
) -> ir.Model:
    """Trace `module(*arguments)`; `inputs` describes the tensors of `arguments` in order.

    What the module marks (`exporter.networks.marks`) has its layer's name in the graph.

    Free dimensions are traced at the size TRACE_BATCH, a prime that no shape of a network has. A graph in which no
    constant is a multiple of it can't have fixed the batch, so the dimension may be named. (Tracing with a symbol
    instead gives the same graph in twice the time, most of it spent proving inequalities about the symbol.)

    Raises ExportError where the graph is not what was promised.
    """
    with warnings.catch_warnings(), _quiet_exporter(), _paused_garbage_collection():
        warnings.simplefilter("ignore")
        marked: list[str] = []
        program = torch.export.export(Marked(module.eval(), marked), arguments, strict=False)
        exported = torch.onnx.export(
            program,
            (),
            dynamo=True,
            opset_version=max(opset, LEAST_TRACED),
            input_names=[item.name for item in inputs],
            output_names=[*outputs, *marked],
            verbose=False,
        )
    assert exported is not None
    model = exported.model
    _unwrap(model, len(outputs))
    _relabel(model, opset)
    _free_batches(model, inputs)
    strip(model, name)
    _check_operators(model)
    return model


def _unwrap(model: ir.Model, outputs: int) -> None:
    """Undo what `Marked` did to a graph, but for the names of what layers put out."""
    del model.graph.outputs[outputs:]
    for value in list(model.graph.initializers.values()):
        assert value.name is not None
        value.name = value.name.removeprefix(WRAPPED)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence torch's exporter: its messages are for its developers, and errors are raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Tracing makes millions of small objects that live to its end; looking through them takes a third of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _relabel(model: ir.Model, opset: int) -> None:
    """Say `opset`, after checking that each operator used means the same there as in the opset traced."""
    for node in model.graph:
        schema = onnx.defs.get_schema(node.op_type, max(opset, LEAST_TRACED), node.domain)
        # Split's opset 18 form adds only an attribute for equal parts; with explicit sizes it is the form of opset 13.
        same_split = node.op_type == "Split" and len(node.inputs) == 2 and "num_outputs" not in node.attributes
        if node.domain or (schema.since_version > opset and not same_split):
            raise ExportError(
                f"the traced graph uses {node.domain or 'ai.onnx'}.{node.op_type}, new after opset {opset}"
            )
        node.version = None
    model.opset_imports.clear()
    model.opset_imports[""] = opset
    model.graph.opset_imports.clear()
    model.graph.opset_imports[""] = opset
    model.ir_version = IR_VERSIONS[opset]


def _free_batches(model: ir.Model, inputs: Sequence[GraphInput]) -> None:
    """Name the free dimensions, after checking that nothing in the graph depends on the size that was traced."""
    for value in model.graph.initializers.values():
        if value.const_value is not None and _depends_on_batch(value.const_value):
            raise ExportError(f"the traced graph fixed the batch: the constant {value.name} depends on it")
    for value, item in zip(model.graph.inputs, inputs):
        if value.name != item.name or value.shape is None:
            raise ExportError(f"the traced graph has the input {value.name}, expected {item.name}")
        if item.batch is not None:
            value.shape = ir.Shape([ir.SymbolicDim(item.batch), *value.shape.dims[1:]])
    for value in model.graph.outputs:
        if value.shape is None or value.shape[0] != TRACE_BATCH:
            raise ExportError(
                f"the traced graph's output {value.name} has the shape {value.shape}, expected a batch first"
            )
        value.shape = ir.Shape([ir.SymbolicDim(BATCH), *value.shape.dims[1:]])


def _depends_on_batch(constant: ir.TensorProtocol) -> bool:
    """Whether a constant's own shape, or a shape that it holds, has the traced size for a factor."""
    sizes = np.asarray(constant.shape.numpy(), np.int64)
    if constant.dtype is ir.DataType.INT64:
        sizes = np.concatenate([sizes, constant.numpy().reshape(-1)])
    return bool(((sizes != 0) & (sizes % TRACE_BATCH == 0)).any())  # zeros are indices and offsets


def strip(model: ir.Model, name: str) -> None:
    """Remove what differs from machine to machine (source paths, stack traces) and give nodes stable names."""
    model.producer_name, model.producer_version, model.doc_string = PRODUCER, "", None
    model.metadata_props.clear()
    model.graph.name = name
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    kept = {value.name for value in (*model.graph.inputs, *model.graph.outputs)}
    for index, node in enumerate(model.graph):
        node.metadata_props.clear()
        node.doc_string = None
        node.name = f"{index:03d}_{node.op_type}"
        for value in node.outputs:
            value.metadata_props.clear()
            if value.name not in kept:
                # Shapes between the ends are inferred again, with the noise's own batch names.
                value.shape = None
                value.type = None
    for value in model.graph.initializers.values():
        value.metadata_props.clear()


def _check_operators(model: ir.Model) -> None:
    debris = sorted({node.op_type for node in model.graph} & DEBRIS)
    if debris:
        raise ExportError(f"the traced graph holds {', '.join(debris)}: a shape or constant was not folded")
