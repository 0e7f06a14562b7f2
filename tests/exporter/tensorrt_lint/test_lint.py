"""What the lint says of each small graph, for each version, and of every bundle that export writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from exporter.tensorrt_lint import GraphReport, Severity, lint_graph
from exporter.tensorrt_lint.nodes import NodeView, Scope
from exporter.tensorrt_lint.rules import RULES
from exporter.tensorrt_lint.tables import OPERATORS, OPSETS, Version
from runtime import Bundle
from runtime.errors import BundleError
from tests.exporter.tensorrt_lint.models import CASES, VERSIONS, Case

NAMED = ((8, 6), (10, 3), (10, 13), (10, 16), (11, 4))
"""The versions that the documentation names."""


def lint(model: onnx.ModelProto, folder: Path, version: Version = (10, 3)) -> GraphReport:
    onnx.save(model, folder / "graph.onnx")
    return lint_graph(folder / "graph.onnx", version)


@pytest.mark.parametrize(
    "name", ["tiny_bundle", "conditional_bundle", "stylegan1_bundle", "stylegan3_bundle", "stylegan3_t_bundle"]
)
def test_nothing_is_said_of_what_export_writes(name: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    for key, graph in bundle.manifest.graphs.items():
        for version in NAMED:
            report = lint_graph(bundle.graph_path(key), version)
            assert report == GraphReport(graph.file, graph.nodes, ()), version


@pytest.mark.parametrize("name", CASES)
def test_each_node_is_named_in_the_versions_that_refuse_it(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    for version in VERSIONS:
        refused = lint(case.model(), tmp_path, version).refused
        assert {item.node for item in refused} == ({"bad"} if case.refused_by(version) else set()), version
        assert all(item.reason and item.remedy for item in refused)


def test_every_rule_has_a_graph_that_breaks_it() -> None:
    def broken(case: Case) -> set[int]:
        graph = onnx.shape_inference.infer_shapes(case.model()).graph
        scope = Scope.of(graph)
        nodes = [NodeView.of(proto, number, scope) for number, proto in enumerate(graph.node)]
        return {i for i, rule in enumerate(RULES) for n in nodes if n.operator in rule.operators and rule.check(n)}

    assert set().union(*(broken(case) for case in CASES.values())) == set(range(len(RULES)))


def test_the_tables_name_operators_of_onnx() -> None:
    of_onnx = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert set(OPERATORS) - of_onnx == {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}  # older than its history
    assert all(oldest < newest for oldest, newest in OPSETS.values())


@pytest.mark.parametrize(("opset", "version", "told"), [(7, (8, 6), True), (9, (8, 6), False), (25, (10, 16), True)])
def test_an_opset_that_is_not_documented_is_a_warning(opset: int, version: Version, told: bool, tmp_path: Path) -> None:
    report = lint(Case("(float[batch, 8] x) => (float[batch, 8] y) { y = Identity(x) }").model(), tmp_path, version)
    assert not report.findings
    model = onnx.ModelProto()
    model.CopyFrom(Case("(float[batch, 8] x) => (float[batch, 8] y) { y = Sigmoid(x) }", opset=opset).model())
    found = lint(model, tmp_path, version).findings
    assert [(item.node, item.operator) for item in found] == ([(str(opset), "opset")] if told else [])


@pytest.mark.parametrize(
    ("graph", "where"),
    [
        ("(double[batch, 8] x) => (double[batch, 8] y) { [n] y = Relu(x) }", [("x", "input"), ("n", "Relu")]),
        (
            "(float[batch, 2] x) => (float[batch, 2] y) <double[2] k = {1, 2}> { a = Cast<to=1>(k) y = Add(x, a) }",
            [("k", "initializer")],
        ),
        (
            "(float[batch, 8] x) => (float[batch, 8] y) { [n] a = RandomNormalLike(x) y = Add(a, x) }",
            [("n", "RandomNormalLike")],
        ),
        ("(float[2, 8] x) => (float[2, 8] y) { y = Relu(x) }", [("x", "input")]),
    ],
)
def test_what_tensorrt_takes_and_changes_is_a_warning(graph: str, where: list[tuple[str, str]], tmp_path: Path) -> None:
    for version in NAMED:
        report = lint(Case(graph).model(), tmp_path, version)
        assert not report.refused
        assert [(item.node, item.operator) for item in report.findings] == where


def test_a_foreign_name_for_onnx_operator_is_a_warning(tmp_path: Path) -> None:
    (found,) = lint(CASES["a foreign name for ONNX's operator"].model(), tmp_path).findings
    assert found.severity is Severity.WARNING
    assert "ignores its domain 'mine' and takes it for ONNX's Relu" in found.reason


def test_inputs_and_initializers_of_unknown_types_are_named(tmp_path: Path) -> None:
    graph = (
        "(int16[batch, 2] x) => (float[batch, 2] y) <uint64[2] k = {1, 2}>"
        "{ a = Cast<to=1>(x) b = Cast<to=1>(k) y = Add(a, b) }"
    )
    refused = lint(Case(graph).model(), tmp_path).refused
    assert [(item.node, item.operator) for item in refused] == [("x", "input"), ("k", "initializer")]
    assert "INT16" in refused[0].reason


def test_weights_in_another_file_are_a_warning(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "graph.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    (found,) = lint_graph(tmp_path / "graph.onnx", (10, 3)).findings
    assert (found.node, found.severity) == ("w", Severity.WARNING)


def test_a_node_without_a_name_has_its_number(tmp_path: Path) -> None:
    text = "(float[batch] x) => (float[n] y) { a = Relu(x) y = Unique(a) }"
    assert [item.node for item in lint(Case(text).model(), tmp_path).refused] == ["number 1"]


def test_nodes_of_branches_and_functions_are_counted(tmp_path: Path) -> None:
    assert lint(CASES["Unique in a branch"].model(), tmp_path).nodes == 3
    assert lint(CASES["a function that holds a foreign operator"].model(), tmp_path).nodes == 2


def test_attributes_of_a_wrong_kind_break_nothing(tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(CASES["Resize linear"].model())
    node = model.graph.node[0]
    node.ClearField("attribute")
    wrong = {"mode": 1, "antialias": "much", "coordinate_transformation_mode": 2.0, "nearest_mode": [1, 2]}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in wrong.items())
    assert lint(model, tmp_path).nodes == 1


@pytest.mark.parametrize("data", [b"", b"mine", b"\x0a\xff\xff\xff"])
def test_a_file_that_is_no_graph_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"graph\.onnx: is no ONNX graph"):
        lint_graph(tmp_path / "graph.onnx", (10, 3))


def test_it_needs_no_torch(tiny_bundle: Bundle) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom exporter.tensorrt_lint import lint_graph\n"
        "print(len(lint_graph(Path(sys.argv[1]), (10, 3)).findings), 'torch' in sys.modules, 'tensorrt' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle.graph_path("mapping"))]
    root = Path(__file__).parents[3]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True).stdout
    assert shown.split() == ["0", "False", "False"]
