"""The graph between mapping and synthesis: truncation, and what synthesis takes beside styles.

An ensemble's step must get every input from somewhere, so the checkpoint's own noise and transform come from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runtime.bundle import Bundle
from runtime.extras import require
from runtime.opsets import IR_VERSIONS, OPSET
from runtime.spec import TRANSFORM, noise_name

PSI = "psi"
BATCH = "batch"
PRODUCER = "stylegan-edge"


def style_names(count: int) -> list[str]:
    """Names of the sources' styles, one for each latent: `w`, `w_1`, ..."""
    return ["w", *(f"w_{index}" for index in range(1, count))]


def build_step(bundle: Bundle) -> bytes:
    """`truncation`: w [N, w_dim] of each latent, psi [N, num_ws] -> styles [N, K, w_dim], noise and transform.

    The outputs are the inputs of the bundle's synthesis, by name; noise [N, 1, H, W] and transform [N, 3, 3] are the
    checkpoint's own. The styles are the bits of `runtime.truncation.towards_mean`. Where the bundle mixes K latents, a
    source's rows share its style, so their factors must be the same: the styles of an image of which they are not are
    NaN.

    Raises MissingDependencyError where onnx is not installed.
    """
    onnx = require("onnx", "triton")
    graph = _Graph(onnx)
    names = style_names(bundle.manifest.options.latents_per_image)
    _add_styles(graph, bundle, names)
    outputs = bundle.graph("synthesis").inputs
    for name, values in _own_inputs(bundle, [item.name for item in outputs]):
        _add_for_each_image(graph, name, values, names[0])
    spec = bundle.spec

    def described(name: str, *sizes: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, graph.float, [BATCH, *sizes])

    made = onnx.helper.make_graph(
        graph.nodes,
        "truncation",
        [*(described(name, spec.w_dim) for name in names), described(PSI, spec.num_ws)],
        [described(item.name, *item.shape[1:]) for item in outputs],
        graph.constants,
    )
    model = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSIONS[OPSET], producer_name=PRODUCER
    )
    onnx.checker.check_model(model, full_check=True)
    result: bytes = model.SerializeToString(deterministic=True)
    return result


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.float, self.bool = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _add_styles(graph: _Graph, bundle: Bundle, names: Sequence[str]) -> None:
    """`towards_mean`, operation by operation, for each of the K styles."""
    one = graph.constant("one", np.ones((), np.float32))
    mean = graph.constant("mean", bundle.w_avg)
    middle, last = (graph.constant(f"axis_{axis}", np.array([axis], np.int64)) for axis in (1, 2))
    sources = [graph.node("Unsqueeze", [name, middle], f"{name}_source") for name in names]
    w = sources[0] if len(sources) == 1 else graph.node("Concat", sources, "sources", axis=1)  # [N, 1 or K, w_dim]
    mixes = not bundle.manifest.options.identity_mask
    made = "truncated" if mixes else "styles"
    factors = _add_source_factors(graph, bundle) if mixes else PSI
    factor = graph.node("Unsqueeze", [factors, last], "factor")  # [N, K, 1]
    moved = graph.node("Mul", [factor, graph.node("Sub", [w, mean], "from_mean")], "scaled")
    moved = graph.node("Add", [mean, moved], "moved")
    graph.node("Where", [graph.node("Equal", [factor, one], "whole"), w, moved], made)
    if mixes:
        _add_check(graph, bundle, made)


def _rows_of_sources(bundle: Bundle) -> list[list[int]]:
    """The rows of `ws` that each source has a part in."""
    matrix = bundle.mask.matrix
    return [np.flatnonzero(matrix[:, source]).tolist() for source in range(matrix.shape[1])]


def _add_source_factors(graph: _Graph, bundle: Bundle) -> str:
    """The factor of each source [N, K]: that of its first row."""
    first = [rows[0] if rows else 0 for rows in _rows_of_sources(bundle)]
    chosen = graph.constant("first_rows", np.array(first, np.int64))
    return graph.node("Gather", [PSI, chosen], "factors", axis=1)


def _add_check(graph: _Graph, bundle: Bundle, truncated: str) -> None:
    """NaN for images whose sources' rows have different factors, which the mask baked into synthesis can't follow.

    A graph can refuse no single image of a batch, and an error would meet the other clients in it too.
    """
    pairs = [(rows[0], row) for rows in _rows_of_sources(bundle) for row in rows]
    left, right = (
        graph.node("Gather", [PSI, graph.constant(f"{side}_rows", np.array(rows, np.int64))], side, axis=1)
        for side, rows in zip(("left", "right"), zip(*pairs))
    )
    same = graph.node("Cast", [graph.node("Equal", [left, right], "same")], "same_as_float", to=graph.float)
    all_same = graph.node("ReduceMin", [same], "all_same", axes=[1], keepdims=1)  # [N, 1]
    sound = graph.node("Cast", [graph.node("Unsqueeze", [all_same, "axis_2"], "all_same_3d")], "sound", to=graph.bool)
    nan = graph.constant("nan", np.array(np.nan, np.float32))
    graph.node("Where", [sound, truncated, nan], "styles")


def _own_inputs(bundle: Bundle, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The checkpoint's own noise [1, H, W] and transform [3, 3], for the inputs that synthesis has."""
    own = {noise_name(index): values[None] for index, values in enumerate(bundle.stored_noise)}
    if bundle.stored_transform is not None:
        own[TRANSFORM] = bundle.stored_transform
    return ((name, own[name]) for name in names if name != "styles")


def _add_for_each_image(graph: _Graph, name: str, values: np.ndarray, like: str) -> None:
    """`values` once for each row of `like`."""
    kept = graph.constant(f"{name}_own", values[None])
    rest = graph.constant(f"{name}_shape", np.array(values.shape, np.int64))
    count = graph.node("Shape", [like], f"{name}_count", start=0, end=1)
    graph.node("Expand", [kept, graph.node("Concat", [count, rest], f"{name}_whole", axis=0)], name)
