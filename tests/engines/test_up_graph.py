"""Up-convolutions of real exported graphs: found, written down in every form, and the same images."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from engines.up_graph import UpGraph, UpLayer, layer_graph, line_of
from runtime import Bundle
from runtime.errors import MissingDependencyError
from runtime.parity import TOLERANCES, Comparison
from runtime.spec import Architecture
from runtime.up_forms import UpForm, available_forms
from tests.engines.tensorrt_cpu.plans import build_plans
from tests.engines.test_tensorrt_builds import BATCHES
from tests.engines.up_bundles import export_as_defined
from tests.tiny import FILTER, tiny_checkpoint, tiny_stylegan1_spec

EXACT = 1e-13
"""Of the largest value: float64 rounding of sums over at most 6 * 9 * 36 products."""
FILTERS = {4: FILTER, 3: (0.25, 0.5, 0.25), 6: (0.05, 0.1, 0.35, 0.3, 0.15, 0.05)}
"""By taps. [1, 1] divides the first two."""
VARIANTS: dict[str, tuple[Architecture, int, tuple[str, ...]]] = {
    "skip-4": (Architecture.SKIP, 4, ("fp32", "fp16")),
    "resnet-4": (Architecture.RESNET, 4, ("fp32",)),
    "skip-3": (Architecture.SKIP, 3, ("fp32",)),
    "resnet-6": (Architecture.RESNET, 6, ("fp32", "fp16")),
}
"""Architecture, taps and precisions: both architectures and filters of either kind in float16."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Each of `VARIANTS`, exported once."""

    @cache
    def export(name: str) -> Bundle:
        architecture, taps, precisions = VARIANTS[name]
        checkpoint = tiny_checkpoint(architecture=architecture, resample_filter=FILTERS[taps])
        target = tmp_path_factory.mktemp("defined") / name
        return export_as_defined(checkpoint, target, precisions=precisions, pipeline=True)

    return export


@pytest.fixture(scope="module", params=VARIANTS)
def bundle(request: pytest.FixtureRequest, exported: Callable[[str], Bundle]) -> Bundle:
    return exported(request.param)


@pytest.fixture(scope="module")
def skip_bundle(exported: Callable[[str], Bundle]) -> Bundle:
    return exported("skip-3")


def read(bundle: Bundle, name: str = "synthesis", precision: str = "fp32") -> UpGraph:
    return UpGraph(bundle.graph_path(name, precision).read_bytes())


def all_in(graph: UpGraph, form: UpForm) -> bytes:
    """The graph with every layer in a form, or as it is where its filter does not allow that."""
    return graph.rewritten({layer.name: form for layer in graph.layers if form in layer.forms})


def inputs_of(session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    random = np.random.RandomState(batch)
    feeds = {}
    for item in session.get_inputs():
        shape = [size if isinstance(size, int) else batch if size == "batch" else 1 for size in item.shape]
        feeds[item.name] = random.randn(*shape).astype(np.float32)
    return feeds


def run(content: bytes, batch: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(["image", "pixels"], inputs_of(session, batch))
    return results


@pytest.mark.parametrize("name", ["synthesis", "pipeline"])
def test_every_form_draws_the_same_images(bundle: Bundle, name: str) -> None:
    reference = bundle.graph_path(name, "fp32").read_bytes()
    spec: Any = bundle.spec.synthesis
    for precision, form in product(bundle.precisions, available_forms(np.array(spec.resample_filter))):
        original = bundle.graph_path(name, precision).read_bytes()
        content = all_in(UpGraph(original), form)
        onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
        assert content == all_in(UpGraph(original), form)
        for batch in (1, 3):
            comparison = Comparison(name, "the graph as exported", batch, precision)
            comparison.add_images(run(reference, batch)[0], run(content, batch))
            figures = comparison.figures()
            assert figures.allowed_relative == TOLERANCES[precision].max_relative
            assert figures.passed, (precision, form, figures.failures())


def test_the_layers_are_what_the_network_has(bundle: Bundle) -> None:
    spec: Any = bundle.spec.synthesis
    for name, prefix in (("synthesis", ""), ("pipeline", "synthesis.")):
        for precision in bundle.precisions:
            dtype = {"fp32": np.float32, "fp16": np.float16}[precision]
            layers = read(bundle, name, precision).layers
            assert [layer.name for layer in layers] == [f"{prefix}b8_conv0_up", f"{prefix}b16_conv0_up"]
            assert [(layer.side, layer.weight.shape) for layer in layers] == [(4, (5, 6, 3, 3)), (8, (4, 5, 3, 3))]
            for layer in layers:
                assert layer.dtype == dtype
                close = 2 * float(np.finfo(dtype).eps)
                np.testing.assert_allclose(layer.taps, 2 * np.array(spec.resample_filter), rtol=0, atol=close)
    assert read(bundle, "mapping").layers == ()


def by_definition(layer: UpLayer, x: np.ndarray) -> np.ndarray:
    """The two sums of `runtime.up_forms`, term by term."""
    count, _, side, _ = x.shape
    (outputs, _, size, _), taps = layer.weight.shape, layer.taps
    wide = np.zeros((count, outputs, 2 * side + 1, 2 * side + 1))
    for row in range(size):
        for column in range(size):
            part = np.einsum("nihw,oi->nohw", x, layer.weight[:, :, row, column])
            wide[:, :, row : row + 2 * side : 2, column : column + 2 * side : 2] += part
    before, length = (len(taps) - 1) // 2, len(taps)
    padded = np.pad(wide, [(0, 0), (0, 0), (before, length), (before, length)])
    line, total = taps[::-1], np.zeros((count, outputs, 2 * side, 2 * side))
    for row in range(length):
        for column in range(length):
            window = padded[:, :, row : row + 2 * side, column : column + 2 * side]
            total += line[row] * line[column] * window
    return total


def test_every_form_is_the_definition_in_float64(bundle: Bundle) -> None:
    random = np.random.RandomState(0)
    for found in read(bundle).layers:
        layer = dataclasses.replace(found, dtype=np.dtype(np.float64))
        x = random.randn(2, layer.weight.shape[1], layer.side, layer.side)
        expected = by_definition(layer, x)
        for form in layer.forms:
            model = onnx.load_model_from_string(layer_graph(layer, form))
            onnx.checker.check_model(model, full_check=True)
            result, *_ = ReferenceEvaluator(model).run(None, {"x": x})
            assert isinstance(result, np.ndarray)
            assert result.dtype == np.float64
            assert np.abs(result - expected).max() <= EXACT * np.abs(expected).max(), form


def test_the_rest_of_the_graph_stays(skip_bundle: Bundle) -> None:
    content = skip_bundle.graph_path("synthesis").read_bytes()
    graph = UpGraph(content)
    assert onnx.load_model_from_string(graph.rewritten({})) == onnx.load_model_from_string(content)
    first, second = graph.layers
    old = onnx.load_model_from_string(content)
    new = onnx.load_model_from_string(graph.rewritten({second.name: UpForm.POLYPHASE}))
    kept = [node for node in old.graph.node if node.name in {item.name for item in new.graph.node}]
    assert [node for node in new.graph.node if not node.name.startswith(second.name)] == kept
    assert len(old.graph.node) - len(kept) == len(second.nodes) == 4
    constants = {item.name for item in new.graph.initializer}
    assert f"{first.name}.weight0" in constants
    assert f"{second.name}.weight0" not in constants
    used = {name for node in new.graph.node for name in node.input}
    assert constants <= used | {item.name for item in new.graph.output}


def test_a_rewritten_layer_is_not_found_again(skip_bundle: Bundle) -> None:
    for form in UpForm:
        left = UpGraph(all_in(read(skip_bundle), form)).layers
        assert len(left) == (2 if form is UpForm.TRANSPOSED else 0)


def test_a_layer_in_parts_is_several(tmp_path: Path) -> None:
    """Parts of different widths: 5 channels in 3 and 2, 4 in 2 and 2."""
    checkpoint = tiny_checkpoint()
    bundle = export_as_defined(checkpoint, tmp_path / "bundle", products=4 * 9 * 16)
    layers = read(bundle).layers
    assert [layer.name for layer in layers][:2] == ["b8_conv0_up.parts.0", "b8_conv0_up.parts.1"]
    assert len(layers) > 3
    forms = {layer.name: form for layer, form in zip(layers, [*UpForm] * 2)}
    comparison = Comparison("synthesis", "the graph as exported", 2)
    content = bundle.graph_path("synthesis").read_bytes()
    comparison.add_images(run(content, 2)[0], run(read(bundle).rewritten(forms), 2))
    assert comparison.figures().passed


def test_other_networks_have_none(
    tiny_bundle: Bundle, stylegan3_bundle: Bundle, tmp_path: Path, stylegan1_bundle: Bundle
) -> None:
    """The tiny network's layers are so small that export writes them in another form."""
    for bundle in (tiny_bundle, stylegan3_bundle, stylegan1_bundle):
        assert read(bundle).layers == ()
    blurred = tiny_checkpoint(tiny_stylegan1_spec(blur_filter=(0.1, 0.2, 0.4, 0.2, 0.1)))
    assert read(export_as_defined(blurred, tmp_path / "blurred")).layers == ()


def _bias(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(5, np.float32), "bias"))
    node.input.append("bias")


def _second_user(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Identity", [node.output[0]], ["again"]))


def _result(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], 1, None))


def _setting(name: str, value: Any) -> Callable[[onnx.ModelProto, onnx.NodeProto], None]:
    def change(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
        others = [item for item in node.attribute if item.name != name]
        del node.attribute[:]
        node.attribute.extend([*others, onnx.helper.make_attribute(name, value)])

    return change


def _tap(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Another filter in one channel alone."""
    (kernel,) = (item for item in model.graph.initializer if item.name == "b8_conv0_up.weight1")
    values = onnx.numpy_helper.to_array(kernel).copy()
    values[1] *= 2
    kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))


DIFFERENT: dict[str, tuple[str, Callable[[onnx.ModelProto, onnx.NodeProto], None]]] = {
    "a bias": ("ConvTranspose", _bias),
    "a bias of the filter": ("Conv", _bias),
    "a value used twice": ("ConvTranspose", _second_user),
    "a filter used twice": ("Conv", _second_user),
    "a value that is an output": ("ConvTranspose", _result),
    "another padding": ("ConvTranspose", _setting("pads", [1, 1, 1, 1])),
    "an output padding": ("ConvTranspose", _setting("output_padding", [1, 1])),
    "an output shape": ("ConvTranspose", _setting("output_shape", [9, 9])),
    "another stride": ("ConvTranspose", _setting("strides", [3, 3])),
    "a dilated filter": ("Conv", _setting("dilations", [2, 2])),
    "another crop": ("Conv", _setting("pads", [2, 2, 2, 2])),
    "channels that differ": ("Conv", _tap),
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_what_only_looks_like_one_is_left_alone(difference: str, skip_bundle: Bundle) -> None:
    operator, change = DIFFERENT[difference]
    model = onnx.load_model_from_string(skip_bundle.graph_path("synthesis").read_bytes())
    nodes = [node for node in model.graph.node if any("b8_conv0_up" in name for name in node.input)]
    change(model, next(node for node in nodes if node.op_type == operator))
    assert "b8_conv0_up" not in [layer.name for layer in UpGraph(model.SerializeToString()).layers]


def test_a_kernel_that_two_layers_share(skip_bundle: Bundle) -> None:
    graph = read(skip_bundle)
    model = onnx.load_model_from_string(skip_bundle.graph_path("synthesis").read_bytes())
    first = [model.graph.node[place] for place in graph.layers[0].nodes]
    for node in first:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name += "_again"
        copy.output[0] += "_again"
        copy.input[0] += "_again" if node is not first[0] else ""
        model.graph.node.append(copy)
    model.graph.output.append(onnx.helper.make_tensor_value_info(first[-1].output[0] + "_again", 1, ["batch", 5, 8, 8]))
    twice = UpGraph(model.SerializeToString())
    assert [layer.name for layer in twice.layers] == ["b8_conv0_up", "b16_conv0_up", "b8_conv0_up_2"]
    content = twice.rewritten({"b8_conv0_up_2": UpForm.FUSED})
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    assert f"{graph.layers[0].name}.weight0" in {
        item.name for item in onnx.load_model_from_string(content).graph.initializer
    }


@pytest.mark.parametrize("kernel", [np.eye(3), -np.ones((3, 3)), np.full((3, 3), np.nan), np.ones((2, 3))])
def test_a_filter_that_is_no_product_of_a_line(kernel: np.ndarray) -> None:
    assert line_of(kernel.astype(np.float32)[None, None]) is None


def test_a_line_is_found_to_rounding() -> None:
    line = np.array([-0.1, 0.3, 1.2, 0.6, -0.05])
    for dtype in (np.float16, np.float32, np.float64):
        found = line_of(np.outer(line, line).astype(dtype)[None, None])
        assert found is not None
        np.testing.assert_allclose(found, line, rtol=0, atol=4 * float(np.finfo(dtype).eps))


def test_onnx_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, skip_bundle: Bundle) -> None:
    content = skip_bundle.graph_path("synthesis").read_bytes()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stylegan-edge\[tune\]'"):
        UpGraph(content)


def test_tensorrt_builds_every_form(
    exported: Callable[[str], Bundle], tensorrt_libraries: Path, tmp_path: Path
) -> None:
    for precision in ("fp32", "fp16"):
        graph = read(exported("skip-4"), precision=precision)
        for form in UpForm:
            (tmp_path / f"{form.value}_{precision}.onnx").write_bytes(all_in(graph, form))
            (tmp_path / f"layer_{form.value}_{precision}.onnx").write_bytes(layer_graph(graph.layers[0], form))
    reports = build_plans(sorted(tmp_path.iterdir()), BATCHES, tensorrt_libraries)
    assert len(reports) == 20
    for report in reports.values():
        assert report.parsed, report
        assert report.errors == report.warnings == ()
        assert report.plan_bytes > 0
        assert all(item.shape[0] == -1 for item in (*report.inputs, *report.outputs)), report
