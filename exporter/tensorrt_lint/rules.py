"""What a TensorRT version refuses of an operator that it has: attributes and inputs, each rule with its source.

"Table of V" is onnx-tensorrt's `docs/operators.md` of V; "checker" its `onnxOpCheckers.cpp` (first, in 9.1,
`builtin_op_static_checkers.cpp`); "changelog" its `docs/Changelog.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.tensorrt_lint.nodes import NodeView
from exporter.tensorrt_lint.tables import Version

REDUCTIONS = tuple(
    f"Reduce{name}" for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
)
RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_RESIZE_GRIDS = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
_CHECKER: Version = (9, 1)
"""The first version that looks at nodes before it reads them."""


@dataclass(frozen=True)
class Rule:
    """`check` returns what is refused of a node, or None; the versions are `since` and up to, without, `until`."""

    operators: tuple[str, ...]
    check: Callable[[NodeView], str | None]
    remedy: str
    since: Version = (8, 6)
    until: Version | None = None

    def applies(self, operator: str, version: Version) -> bool:
        """Whether the rule is about this operator in this version."""
        return operator in self.operators and self.since <= version and (self.until is None or version < self.until)


def _constant_input(index: int, label: str) -> Callable[[NodeView], str | None]:
    def check(node: NodeView) -> str | None:
        return f"an input of the graph decides its {label}, expected a constant" if node.varies(index) else None

    return check


def _computed_axes(node: NodeView) -> str | None:
    return "its axes are computed, expected an initializer" if node.computes(1) else None


def _constants(operators: tuple[str, ...], index: int, label: str, until: Version | None = None) -> Rule:
    return Rule(operators, _constant_input(index, label), f"make {label} an initializer", until=until)


def _attribute(name: str, default: str, allowed: tuple[str, ...]) -> Callable[[NodeView], str | None]:
    def check(node: NodeView) -> str | None:
        value = node.attribute(name, default)
        return None if value in allowed else f"{name} is {value!r}, expected {' or '.join(allowed)}"

    return check


def _antialias(node: NodeView) -> str | None:
    return "it asks for antialiasing" if node.attribute("antialias", 0) else None


def _half_pixel_rounding(node: NodeView) -> str | None:
    nearest = node.attribute("nearest_mode", "round_prefer_floor")
    if node.attribute("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn":
        return None
    return None if nearest == "round_prefer_floor" else f"tf_half_pixel_for_nn with nearest_mode {nearest!r}"


def _dilated(node: NodeView) -> str | None:
    return "it is dilated" if any(size != 1 for size in node.attribute("dilations", ())) else None


def _further_outputs(node: NodeView) -> str | None:
    return "it has more than one output" if any(node.outputs[1:]) else None


def _training(node: NodeView) -> str | None:
    return "it is in training mode" if node.attribute("training_mode", 0) else None


def _sparse_or_text(node: NodeView) -> str | None:
    found = [name for name in ("sparse_value", "value_string", "value_strings") if node.attribute(name, None)]
    return f"it holds {found[0]}" if found else None


def _random_type(node: NodeView) -> str | None:
    known = {0: "that of its input", 1: "FLOAT", 10: "FLOAT16", 16: "BFLOAT16"}
    return None if node.attribute("dtype", 0) in known else "its dtype is neither FLOAT nor FLOAT16"


def _capitals(node: NodeView) -> str | None:
    return "its equation has capital letters" if node.equation != node.equation.lower() else None


def _ellipsis_or_diagonal(node: NodeView) -> str | None:
    terms = node.equation.replace(" ", "").split("->")[0].split(",")
    if any("..." in term for term in terms):
        return "its equation has an ellipsis"
    return "its equation takes a diagonal" if any(len(set(term)) < len(term) for term in terms) else None


def _not_four(node: NodeView) -> str | None:
    rank = node.rank(0)
    return None if rank in (None, 4) else f"its input has {rank} dimensions, expected 4"


def _integers(node: NodeView) -> str | None:
    found = node.type_of(0)
    return f"its input is {found}" if found in ("INT32", "INT64") else None


RULES = (
    # Checker; before it, the changelog of 8.0 lists the transformation modes, and antialias is of opset 18.
    Rule(("Resize",), _antialias, "blur with a Conv first"),
    Rule(("Resize",), _attribute("keep_aspect_ratio_policy", "stretch", ("stretch",)), "give the sizes themselves"),
    Rule(
        ("Resize",),
        _attribute("coordinate_transformation_mode", "half_pixel", _RESIZE_GRIDS),
        "use one of those modes",
    ),
    Rule(("Resize",), _half_pixel_rounding, "use nearest_mode round_prefer_floor", since=_CHECKER),
    # Tables of 8.5 (constant, edge and reflect since 8.2); wrap and tensor axes: changelogs of 10.0 and 10.4.
    Rule(
        ("Pad",),
        _attribute("mode", "constant", ("constant", "edge", "reflect")),
        "join the parts with Concat",
        until=(10,),
    ),
    _constants(("Pad",), 3, "axes", until=(10, 4)),
    # Tables of 10.6 and 10.15. NVIDIA/TensorRT#3467: before 10.0 such axes were misread.
    Rule(REDUCTIONS, _computed_axes, "make axes an initializer"),
    # Tables of 8.5 and 9.2: FP32 and FP16 alone before 9.
    Rule(REDUCTIONS, _integers, "cast to FLOAT first", until=(9,)),
    # Tables of 8.5 and 10.15.
    _constants(("Squeeze", "Unsqueeze"), 1, "axes"),
    # Tables of 9.2 and 10.15. TensorRT-RTX 1.7's parser takes it.
    _constants(("OneHot",), 1, "depth", until=(11,)),
    # Tables of 8.5, changelogs of 10.3 and 10.8.
    _constants(("Slice",), 3, "axes", until=(10, 3)),
    _constants(("CumSum",), 1, "axis", until=(10, 8)),
    # Table of 8.5; that of 9.2 has no such limit any more.
    _constants(("InstanceNormalization",), 1, "scale", until=(9,)),
    _constants(("InstanceNormalization",), 2, "bias", until=(9,)),
    # Tables of 10.6 and 10.15 (GridSample of 5 dimensions is of opset 20). TensorRT-RTX 1.7's parser takes it.
    Rule(("GridSample",), _not_four, "sample slice by slice", since=(10,), until=(11,)),
    # Tables of 8.5 and 10.15.
    Rule(("MaxPool",), _further_outputs, "do without Indices"),
    # Table of 10.6.
    Rule(("LayerNormalization",), _further_outputs, "do without Mean and InvStdDev", since=(10, 6)),
    # Checker.
    Rule(("AveragePool", "LpPool", "MaxPool"), _dilated, "pool without dilations", since=_CHECKER),
    Rule(("BatchNormalization",), _training, "export in evaluation mode", since=_CHECKER),
    Rule(("Constant",), _sparse_or_text, "store it dense", since=_CHECKER),
    Rule(RANDOM, _random_type, "draw FLOAT and cast it", since=_CHECKER),
    Rule(("Einsum",), _capitals, "use small letters", since=_CHECKER),
    # Table of 8.5, and the changelog of 10.12, which adds them.
    Rule(("Einsum",), _ellipsis_or_diagonal, "write it as MatMul and ReduceSum", until=(10, 12)),
)


def refusals(node: NodeView, version: Version) -> Iterator[tuple[str, str]]:
    """What a version refuses of a node whose operator it has: reason and remedy."""
    for rule in RULES:
        if rule.applies(node.operator, version):
            reason = rule.check(node)
            if reason is not None:
                yield reason, rule.remedy
