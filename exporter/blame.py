"""Which layers a quantised network's error comes from: each is drawn in float32 again, the others as they are."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from exporter.checkpoints import Checkpoint
from exporter.golden import Reference, affordable_images
from exporter.quantize import SCHEMES, QuantizedConvolution, quantizable_layers, quantized_convolutions, separate_biases
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bundle import Bundle
from runtime.golden import GoldenInputs
from runtime.parity import Comparison

BLAMED = 3
"""Layers that are named."""
WORTH_NAMING = 0.5
"""dB that a layer costs at least to be proposed, where any does: every layer in float32 costs speed."""
BLAME_IMAGES = 4
"""Golden images that each layer is judged by, at most."""
BLAME_WORK = 60e9
"""Multiply-adds that the images of one layer's turn may take, beyond the first."""
ROUNDED, READ = "QuantizeLinear", "DequantizeLinear"


def layers_to_blame(bundle: Bundle, checkpoint: Checkpoint, reference: Reference, precision: str) -> str:
    """The layers that cost most dB, and how to keep them in float32, to be added to a message; else nothing."""
    if precision not in SCHEMES:
        return ""
    costs = layer_costs(bundle, checkpoint, reference, precision)
    worst = sorted(costs, key=lambda name: -costs[name])[:BLAMED]
    if not worst:
        return ""
    told = ", ".join(f"{name} costs {costs[name] + 0.0:.1f} dB" for name in worst)
    named = [name for name in worst if costs[name] >= WORTH_NAMING] or worst
    return f"; {told}: keep what costs most in float32 with --float-layers {','.join(named)}"


def layer_costs(bundle: Bundle, checkpoint: Checkpoint, reference: Reference, precision: str) -> dict[str, float]:
    """By layer: the dB that synthesis gains when this one alone is float32 again, over a few golden images."""
    layers, wide = quantizable_layers(checkpoint), onnx.load(bundle.graph_path("synthesis"))
    separate_biases(wide, layers)
    narrow = onnx.load(bundle.graph_path("synthesis", precision))
    rounded = {node.output[0] for node in narrow.graph.node if node.op_type == READ}
    inputs = {node.output[0]: node.input for node in narrow.graph.node if node.op_type == "Conv"}
    convolutions = [
        item
        for item in quantized_convolutions(wide, layers)
        if item.output in inputs and inputs[item.output][0] in rounded
    ]
    costs: dict[str, float] = {}
    usual = _psnr(narrow, bundle, reference, precision)
    if not math.isfinite(usual):  # NaN, or no difference at all: nothing that layers could be compared by
        return costs
    for layer in dict.fromkeys(item.layer for item in convolutions):
        model = widened(narrow, wide, [item for item in convolutions if item.layer == layer])
        costs[layer] = _psnr(model, bundle, reference, precision) - usual
    return costs


def widened(
    narrow: onnx.ModelProto, wide: onnx.ModelProto, convolutions: Sequence[QuantizedConvolution]
) -> onnx.ModelProto:
    """The quantised graph with these convolutions as they are in the float32 graph: nothing of them is rounded."""
    model = copy.deepcopy(narrow)
    own = {node.output[0]: node for node in wide.graph.node}
    constants = {item.name: item for item in wide.graph.initializer}
    there = {item.name for item in model.graph.initializer}
    bypassed = _rounded_copies(model, {item.output for item in convolutions})
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = bypassed.get(name, name)
    for node in model.graph.node:
        if node.op_type == "Conv" and node.output[0] in {item.output for item in convolutions}:
            node.ClearField("input")
            node.input.extend(own[node.output[0]].input)
            missing = [name for name in node.input if name in constants and name not in there]
            model.graph.initializer.extend(constants[name] for name in missing)
            there.update(missing)
    return model


def _rounded_copies(model: onnx.ModelProto, outputs: set[str]) -> Mapping[str, str]:
    """Names of what is read after rounding -> the values of `outputs` that were rounded."""
    narrow = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == ROUNDED}
    return {
        node.output[0]: narrow[node.input[0]]
        for node in model.graph.node
        if node.op_type == READ and narrow.get(node.input[0]) in outputs
    }


def _psnr(model: onnx.ModelProto, bundle: Bundle, reference: Reference, precision: str) -> float:
    """dB of a synthesis graph's images against the reference's, one at a time; minus infinity for NaN."""
    golden = GoldenInputs(bundle, reference.samples)
    count = affordable_images(bundle.spec, BLAME_WORK, BLAME_IMAGES)
    comparison = Comparison("synthesis", "reference", 1, precision)
    with tempfile.TemporaryDirectory(prefix="stylegan-edge-") as folder:
        path = Path(folder) / "synthesis.onnx"
        onnx.save(model, path)
        graph = OnnxRuntimeGraph(path, RunOptions())
    for image in golden.synthesis_images[:count, None]:
        comparison.add(reference.images[image], graph.run(golden.synthesis(image), ["image"])[0])
    graph.close()
    figures = comparison.figures()
    if not figures.finite:
        return -math.inf
    return math.inf if figures.psnr is None else figures.psnr
