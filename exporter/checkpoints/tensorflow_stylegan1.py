"""StyleGAN in TensorFlow pickles: names, layouts and conventions turned into the canonical ones."""

from __future__ import annotations

import math

import numpy as np

from exporter.checkpoints.layout import to_float32
from exporter.checkpoints.shown import quoted
from exporter.checkpoints.tensorflow_network import (
    Options,
    Variables,
    block_count,
    read_mapping,
    stored_noise,
    torch_kernel,
)
from runtime.errors import CheckpointError
from runtime.spec import (
    EqualizedRates,
    Generation,
    GeneratorSpec,
    Layer,
    LayerKind,
    StyleGAN1Spec,
    Truncation,
)

GAIN = math.sqrt(2)
"""Gain of convolutions and of the mapping network; its leaky ReLU has none of its own."""
NORM_EPSILON = 1e-8
BLUR_FILTER = (1.0, 2.0, 1.0)
NO_BLUR = (0.0, 1.0, 0.0)
"""What `blur_filter = None` stands for: exactly the same as no filter."""
TRUNCATION = Truncation(psi=0.7, cutoff=8)
"""Defaults of the build function, which no file records."""
STRUCTURES = ("auto", "linear", "recursive", "fixed")
"""Ways to run the network. All draw the same, but `fixed` knows no level of detail but 0."""
FUSED_FROM = 128
"""Output resolution from which `fused_scale = 'auto'` up-samples within the convolution."""


def read_generator(variables: Variables, options: Options) -> tuple[GeneratorSpec, dict[str, np.ndarray]]:
    """The specification and canonical weights. Raises CheckpointError."""
    mapping, weights = read_mapping(variables, options, weight_gain=GAIN, activation_gain=1.0)
    count = block_count(variables, options)
    sides = [4 << index for index in range(count)]
    noisy = options.flag("use_noise", True)
    network = StyleGAN1Spec(
        channels=(
            variables.shape("synthesis/4x4/Conv/weight", 4)[3],
            *(variables.shape(f"synthesis/{side}x{side}/Conv1/weight", 4)[3] for side in sides[1:]),
        ),
        blur_filter=NO_BLUR
        if options.get("blur_filter", BLUR_FILTER) is None
        else options.taps("blur_filter", BLUR_FILTER),
        norm_epsilon=NORM_EPSILON,
        rates=EqualizedRates(conv=GAIN, style=1.0, rgb=1.0, noise=None),
        style_offset=1.0,
        bias_before_blur=False,
        noise_per_block=False,
        rgb_everywhere=all(f"synthesis/ToRGB_lod{lod}/weight" in variables for lod in range(count)),
        use_noise=noisy,
        lod=_stored_lod(variables, options),
    )
    spec = GeneratorSpec(
        generation=Generation.STYLEGAN1,
        img_channels=variables.shape("synthesis/ToRGB_lod0/weight", 4)[3],
        mapping=mapping,
        synthesis=network,
        truncation=_truncation(options),
    )
    weights["synthesis.b4.const"] = to_float32(variables.take("synthesis/4x4/Const/const", 4, ones=1))
    fused = _fused(options)
    for layer in network.all_layers(spec.img_channels):
        weights |= _layer_weights(variables, layer, count, fused)
    if not noisy:
        variables.drop(*(name for name in variables if name.startswith("synthesis/noise") or "/Noise/" in name))
    return spec, weights


def _stored_lod(variables: Variables, options: Options) -> float:
    """The level of detail that the snapshot was written at: the whole generator's overrides the synthesis network's."""
    variables.drop("lod", "synthesis/lod")
    if options.choice("structure", STRUCTURES) == "fixed":
        return 0.0
    for name in ("lod", "synthesis/lod"):
        if name in variables:
            return float(variables.take(name, 0))
    return 0.0


def _truncation(options: Options) -> Truncation:
    """Both psi and cutoff must be set: where one is None, the code does not truncate."""
    truncation = options.truncation(TRUNCATION)
    return Truncation() if truncation.cutoff is None else truncation


def _fused(options: Options) -> bool | None:
    """Whether every up-sampling convolution is fused; None where it depends on the resolution."""
    value = options.get("fused_scale", "auto")
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value != "auto":
        raise CheckpointError(
            f"the network was built with fused_scale = {quoted(value)}, expected True, False or 'auto'"
        )
    return None


def _layer_weights(variables: Variables, layer: Layer, blocks: int, fused: bool | None) -> dict[str, np.ndarray]:
    """One layer's weights.

    The fused up-sampling convolution with a kernel is the function that the plain one (repeat pixels, then correlate)
    is with that kernel flipped in both axes.
    """
    target = f"synthesis.{layer.name}"
    if layer.kind is LayerKind.TO_RGB:
        source = f"synthesis/ToRGB_lod{blocks - 1 - (layer.out_size.bit_length() - 3)}"
        return {
            f"{target}.weight": torch_kernel(variables.take(f"{source}/weight", 4)),
            f"{target}.bias": to_float32(variables.take(f"{source}/bias", 1)),
        }
    source = f"synthesis/{_scope(layer)}"
    weights = {
        f"{target}.bias": to_float32(variables.take(f"{source}/bias", 1)),
        f"{target}.style.weight": to_float32(variables.take(f"{source}/StyleMod/weight", 2).T),
        f"{target}.style.bias": to_float32(variables.take(f"{source}/StyleMod/bias", 1)),
    }
    if layer.kind is LayerKind.CONV:
        flipped = layer.up and (layer.out_size >= FUSED_FROM if fused is None else fused)
        weights[f"{target}.weight"] = torch_kernel(variables.take(f"{source}/weight", 4), flipped)
    if layer.noise is not None:
        weights[f"{target}.noise_weight"] = to_float32(variables.take(f"{source}/Noise/weight", 1))
        weights |= stored_noise(variables, layer)
    return weights


def _scope(layer: Layer) -> str:
    name = layer.name.split(".")[1]
    at_4 = {"conv0": "4x4/Const", "conv1": "4x4/Conv"}
    above = {"conv0": "Conv0_up", "conv1": "Conv1"}
    return at_4[name] if layer.out_size == 4 else f"{layer.out_size}x{layer.out_size}/{above[name]}"
