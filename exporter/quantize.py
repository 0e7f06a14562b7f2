"""Int8 and float8: a float32 graph with its convolutions quantised by ONNX Runtime, calibrated on styles of its own."""

from __future__ import annotations

import io
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporter.checkpoints import Checkpoint
from exporter.checkpoints.layout import STORED_TRANSFORM
from exporter.golden import affordable_images
from exporter.graphs import Graph, GraphName
from exporter.graphs.trace import strip
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bundle import graph_key
from runtime.errors import InputError
from runtime.latents import latents, one_hot
from runtime.mixing import Mask
from runtime.noise import noise_arrays
from runtime.opsets import IR_VERSIONS, OPSET
from runtime.parity import FP8, INT8
from runtime.spec import TRANSFORM, latent_names, noise_name

CALIBRATION_IMAGES = 16
"""Images that ranges are taken from, at most. A few do: of the bundled checkpoint, 2, 4, 16 and 64 made int8 graphs of
41.4, 44.8, 43.2 and 41.8 dB. More images find larger values, so that fewer are cut off and steps are coarser."""
CALIBRATION_WORK = 270e9
"""Multiply-adds of these images at most, beyond the first: half of what golden images may cost."""
CALIBRATION_SEED = 1 << 20
"""Of the first latent and noise that ranges are taken from: far from the golden samples', which they must not know."""
_WEIGHT = "weight"
_QUIET, _USUAL = 3, 2
"""ONNX Runtime's log levels: errors, and warnings, which it starts with."""


@dataclass(frozen=True)
class Scheme:
    """How a precision is quantised: ONNX Runtime's names of a type and of the way to find ranges, and the opset.

    `per_channel` is of weights. Where `outputs`, a convolution's result is rounded too: ONNX Runtime's CPU computes
    with integers only what has both ends quantised. Where `splits_clips`, a Clip before a rounding is written as Max
    and Min, the same to the bit: ONNX Runtime (1.31) fails to load one before a QuantizeLinear to float8.
    """

    dtype: str
    method: str
    per_channel: bool
    outputs: bool
    splits_clips: bool = False
    opset: int = OPSET
    ir_version: int = IR_VERSIONS[OPSET]


SCHEMES = {
    INT8: Scheme("QInt8", "MinMax", per_channel=True, outputs=True),
    FP8: Scheme(
        "QFLOAT8E4M3FN", "Distribution", per_channel=False, outputs=False, splits_clips=True, opset=19, ir_version=9
    ),
}
"""By precision. Quantising to float8 is new in opset 19; for it, ONNX Runtime finds scales by distribution alone.
Float8 has an exponent of its own, so that a scale for each channel gained 0.15 dB only, on the bundled checkpoint."""


@dataclass(frozen=True)
class QuantizedConvolution:
    """A convolution that is quantised: its node, its weights' and its output's name, and the layer that it is of."""

    node: str
    weight: str
    output: str
    layer: str


def quantizable_layers(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names of the layers whose convolutions may be quantised, as `b64.conv0`: all with kernels, except toRGB.

    toRGB makes the image itself, of few values an element: it costs next to nothing and its error is seen at once.
    """
    last = checkpoint.spec.layers[-1].name
    found = []
    for name, array in checkpoint.weights.items():
        match = re.fullmatch(rf"synthesis\.(.+)\.{_WEIGHT}", name)
        if match and array.ndim == 4 and match[1] != last and "torgb" not in match[1]:
            found.append(match[1])
    return tuple(found)


def check_float_layers(checkpoint: Checkpoint, names: Sequence[str], precisions: Sequence[str]) -> tuple[str, ...]:
    """Layers to keep in float32, in the network's order. Raises InputError for names that are none, or of no use."""
    known = quantizable_layers(checkpoint)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"float layer {unknown[0]!r} is unknown, expected one of {', '.join(known)}")
    if names and not set(SCHEMES) & set(precisions):
        raise InputError(f"float layers are given, but no precision that has others: add {' or '.join(SCHEMES)}")
    if set(names) == set(known):
        raise InputError("all layers are kept in float32, so that nothing would be quantised: name fewer float layers")
    return tuple(name for name in known if name in names)


def quantized_convolutions(model: onnx.ModelProto, layers: Sequence[str]) -> list[QuantizedConvolution]:
    """The convolutions of `layers` in a float32 graph: plain ones alone, no filters and none that is transposed."""
    keys = {_key(layer): layer for layer in layers}
    weights = {item.name for item in model.graph.initializer}
    found = []
    for node in model.graph.node:
        groups = next((item.i for item in node.attribute if item.name == "group"), 1)
        if node.op_type != "Conv" or groups != 1 or node.input[1] not in weights:
            continue
        layer = _layer_of(node.input[1], keys)
        if layer is not None:
            found.append(QuantizedConvolution(node.name, node.input[1], node.output[0], layer))
    return found


def separate_biases(model: onnx.ModelProto, layers: Sequence[str]) -> None:
    """Add the bias of each convolution that is to be quantised after it, in float32.

    A quantised convolution's own bias would be rounded to int32 and read back, which no TensorRT takes, and without
    that ONNX Runtime would compute in float32.
    """
    convolutions = {item.node for item in quantized_convolutions(model, layers)}
    biases = {item.name: item for item in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if node.name in convolutions and len(node.input) == 3:
            result, bias = node.output[0], node.input.pop()
            column = onnx.numpy_helper.to_array(biases[bias]).reshape(-1, 1, 1)
            model.graph.initializer.append(onnx.numpy_helper.from_array(column, f"{bias}_column"))
            node.output[0] = f"{result}_unbiased"
            addends = [node.output[0], f"{bias}_column"]
            nodes.append(onnx.helper.make_node("Add", addends, [result], f"{node.name}_bias"))
    _replace_nodes(model, nodes)


def _replace_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]  # clearing empties those it holds
    model.graph.ClearField("node")
    model.graph.node.extend(kept)


def _key(layer: str) -> str:
    """What begins the names of a layer's constants in a graph: `b8_conv1`, and `skip_8` for `b8.skip`."""
    skip = re.fullmatch(r"b(\d+)\.skip", layer)
    return f"skip_{skip[1]}" if skip else layer.replace(".", "_")


def _layer_of(weight: str, keys: Mapping[str, str]) -> str | None:
    """The layer of a constant such as `part.b8_conv0_up.weight0`; parts of a network have names before it."""
    parts = weight.split(".")
    for key, layer in keys.items():
        if any(part == key or part.startswith(f"{key}_") for part in parts):
            return layer
    return None


@dataclass(frozen=True)
class Quantizer:
    """Quantises the float32 graphs of a folder: those of `checkpoint`, with `mask`, but for `float_layers`."""

    folder: Path
    checkpoint: Checkpoint
    mask: Mask
    float_layers: tuple[str, ...] = ()

    def graphs(self, precisions: Sequence[str]) -> Iterator[Graph]:
        """Every float32 graph of synthesis in each of `precisions` that is quantised, one at a time.

        Raises InputError where nothing of synthesis would be.
        """
        schemes = {name: SCHEMES[name] for name in precisions if name in SCHEMES}
        if not schemes:
            return
        given = self._inputs()
        for name in GraphName:
            path = self.folder / f"{graph_key(name.value, 'fp32')}.onnx"
            if name is GraphName.MAPPING or not path.exists():
                continue
            if name is GraphName.TAIL:
                given = self._with_activations(given)
            for precision, scheme in schemes.items():
                yield Graph(name, self._quantized(path, name, scheme, given), precision)

    def _inputs(self) -> list[dict[str, np.ndarray]]:
        """What any graph may take, for one image each: latents, labels in turn, psi 1, styles, noise, transform."""
        spec, same = self.checkpoint.spec, self.mask.is_identity
        sources = 1 if same else self.mask.matrix.shape[1]
        mapping = OnnxRuntimeGraph(self.folder / "mapping.onnx", RunOptions())
        stored = [self.checkpoint.weights[item.buffer] for item in spec.noise_inputs]
        found = []
        for index in range(affordable_images(spec, CALIBRATION_WORK, CALIBRATION_IMAGES)):
            seed = CALIBRATION_SEED + index * sources
            z = latents(range(seed, seed + sources), spec.z_dim)
            labels = {"c": one_hot([index % spec.c_dim] * sources, spec.c_dim)} if spec.c_dim else {}
            w = mapping.run({"z": z} | labels, ["w"])[0]
            item = {name: z[number : number + 1] for number, name in enumerate(latent_names(sources))}
            item |= {name: array[:1] for name, array in labels.items()}
            item["psi"] = np.ones(spec.num_ws, np.float32)
            item["styles"] = np.repeat(w, spec.num_ws, axis=0)[None] if same else w[None]
            item |= {noise_name(layer): maps for layer, maps in enumerate(noise_arrays(spec, seed, stored))}
            if spec.takes_transform:
                item[TRANSFORM] = self.checkpoint.weights[STORED_TRANSFORM][None]
            found.append(item)
        mapping.close()
        return found

    def _with_activations(self, given: Sequence[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """With what the head makes of each, for the tail."""
        path = self.folder / f"{GraphName.HEAD.value}.onnx"
        model = onnx.load(path)
        names = [item.name for item in model.graph.output]
        head = OnnxRuntimeGraph(path, RunOptions())
        found = [item | dict(zip(names, head.run(_taken(model, item), names))) for item in given]
        head.close()
        return found

    def _quantized(
        self, path: Path, name: GraphName, scheme: Scheme, given: Sequence[Mapping[str, np.ndarray]]
    ) -> ir.Model:
        model = onnx.load(path)
        layers = [item for item in quantizable_layers(self.checkpoint) if item not in self.float_layers]
        separate_biases(model, layers)
        nodes = [item.node for item in quantized_convolutions(model, layers)]
        if not nodes and name is GraphName.SYNTHESIS:
            raise InputError("no convolution is left to quantise: name fewer float layers, or choose another --tune")
        model.opset_import[0].version, model.ir_version = scheme.opset, scheme.ir_version
        if nodes:
            model = _quantize(model, nodes, scheme, [_taken(model, item) for item in given])
        if scheme.splits_clips:
            _split_clips(model)
        return _cleaned(model, name.value, scheme)


def _taken(model: onnx.ModelProto, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {item.name: given[item.name] for item in model.graph.input}


def _quantize(
    model: onnx.ModelProto, nodes: Sequence[str], scheme: Scheme, inputs: Sequence[dict[str, np.ndarray]]
) -> onnx.ModelProto:
    """The model with pairs of QuantizeLinear and DequantizeLinear around `nodes`, by ONNX Runtime."""
    from onnxruntime import quantization

    dtype = getattr(quantization.QuantType, scheme.dtype)
    options: dict[str, Any] = {"ActivationSymmetric": True, "WeightSymmetric": True, "CalibStridedMinMax": 1}
    if scheme.method == "Distribution":
        options["scenario"] = "same"
    if not scheme.outputs:
        options["OpTypesToExcludeOutputQuantization"] = ["Conv"]
    with tempfile.TemporaryDirectory(prefix="stylegan-edge-") as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            target,
            _Reader(inputs),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=list(nodes),
            per_channel=scheme.per_channel,
            activation_type=dtype,
            weight_type=dtype,
            calibrate_method=getattr(quantization.CalibrationMethod, scheme.method),
            extra_options=options,
        )
        return onnx.load(target)


class _Reader:
    """Inputs, as ONNX Runtime's quantiser asks for them: one image at a time, so that no others' values are kept."""

    def __init__(self, inputs: Sequence[dict[str, np.ndarray]]) -> None:
        self._inputs, self._left = inputs, iter(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these."""
        self._left = iter(self._inputs[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image's inputs, None after the last."""
        return next(self._left, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser: it prints, and warns on the root logger, which it gives a handler where it has none."""
    import onnxruntime

    root, nothing = logging.getLogger(), logging.NullHandler()
    disabled = root.manager.disable
    root.addHandler(nothing)
    logging.disable(logging.CRITICAL)
    onnxruntime.set_default_logger_severity(_QUIET)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_USUAL)
        logging.disable(disabled)
        root.removeHandler(nothing)


def _split_clips(model: onnx.ModelProto) -> None:
    """Write each Clip whose result is rounded as a Max and a Min."""
    rounded = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Clip" or node.output[0] not in rounded or not any(node.input[1:]):
            nodes.append(node)
            continue
        value, low, high = [*node.input, "", ""][:3]
        steps = [(operator, bound) for operator, bound in (("Max", low), ("Min", high)) if bound]
        for number, (operator, bound) in enumerate(steps, 1):
            result = node.output[0] if number == len(steps) else f"{node.output[0]}_{operator}"
            nodes.append(onnx.helper.make_node(operator, [value, bound], [result]))
            value = result
    _replace_nodes(model, nodes)


def _cleaned(model: onnx.ModelProto, name: str, scheme: Scheme) -> ir.Model:
    """Sorted, without what nothing reads, and without the quantiser's traces, like every other graph of a bundle."""
    result = ir.from_proto(model)
    result.opset_imports.clear()
    result.opset_imports[""] = scheme.opset
    result.ir_version = scheme.ir_version
    RemoveUnusedNodesPass()(result)
    result.graph.sort()
    strip(result, name)
    return result
