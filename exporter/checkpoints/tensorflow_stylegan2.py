"""StyleGAN2 in TensorFlow pickles: names, layouts and conventions turned into the canonical ones."""

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
from runtime.spec import Architecture, Generation, GeneratorSpec, Layer, StyleGAN2Spec, Truncation

RESAMPLE_FILTER = (1.0, 3.0, 3.0, 1.0)
TRUNCATION = Truncation(psi=0.5, cutoff=None)
"""Defaults of the build function, which no file records."""
GROWING = "synthesis/ToRGB_lod0/weight"
"""A variable of the networks of configurations B, C and D, which grow progressively."""


def read_generator(variables: Variables, options: Options) -> tuple[GeneratorSpec, dict[str, np.ndarray]]:
    """The specification and canonical weights. Raises CheckpointError."""
    if GROWING in variables:
        raise CheckpointError(
            f"the network is a StyleGAN2 of configuration B, C or D, which grows progressively (it has {GROWING}); "
            "only configurations A, E and F are supported"
        )
    mapping, weights = read_mapping(variables, options, weight_gain=1.0, activation_gain=math.sqrt(2))
    count = block_count(variables, options)
    sides = [4 << index for index in range(count)]
    architecture = _architecture(variables, options, sides)
    noisy = options.flag("use_noise", True)
    last = f"synthesis/{sides[-1]}x{sides[-1]}"
    spec = GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=variables.shape(f"{last}/ToRGB/weight", 4)[3],
        mapping=mapping,
        synthesis=StyleGAN2Spec(
            architecture=architecture,
            channels=tuple(
                variables.shape(f"synthesis/{side}x{side}/{'Conv1' if side > 4 else 'Conv'}/weight", 4)[3]
                for side in sides
            ),
            resample_filter=options.taps("resample_kernel", RESAMPLE_FILTER),
            conv_clamp=options.number("conv_clamp", None),
            use_noise=noisy,
            scaled_demodulation=True,
        ),
        truncation=options.truncation(TRUNCATION),
    )
    weights["synthesis.b4.const"] = to_float32(variables.take("synthesis/4x4/Const/const", 4, ones=1))
    for layer in spec.layers:
        weights |= _layer_weights(variables, layer)
    if architecture is Architecture.RESNET:
        for side in sides[1:]:
            skip = variables.take(f"synthesis/{side}x{side}/Skip/weight", 4)
            weights[f"synthesis.b{side}.skip.weight"] = torch_kernel(skip)
    variables.drop("lod")  # of training; a StyleGAN2 network has one level of detail
    if not noisy:
        variables.drop(*(name for name in variables if name.startswith("synthesis/noise") or "noise_strength" in name))
    return spec, weights


def _architecture(variables: Variables, options: Options, sides: list[int]) -> Architecture:
    """Told by the variables: `skip` has a ToRGB at every resolution, `resnet` has Skip layers."""
    if any(f"synthesis/{side}x{side}/Skip/weight" in variables for side in sides):
        found = Architecture.RESNET
    elif all(f"synthesis/{side}x{side}/ToRGB/weight" in variables for side in sides):
        found = Architecture.SKIP
    else:
        found = Architecture.ORIG
    claimed = options.get("architecture", found.value)
    known = isinstance(claimed, str) and claimed in [item.value for item in Architecture]
    if not known or (claimed != found.value and len(sides) > 1):
        raise CheckpointError(
            f"the network says architecture = {quoted(claimed)}, but its variables are those of {found.value!r}"
        )
    return found


def _layer_weights(variables: Variables, layer: Layer) -> dict[str, np.ndarray]:
    """One layer's weights. An up-sampling kernel is stored as a correlation, and PyTorch's is a convolution."""
    source, target = f"synthesis/{_scope(layer)}", f"synthesis.{layer.name}"
    weights = {
        f"{target}.weight": torch_kernel(variables.take(f"{source}/weight", 4), flipped=layer.up),
        f"{target}.bias": to_float32(variables.take(f"{source}/bias", 1)),
        f"{target}.affine.weight": to_float32(variables.take(f"{source}/mod_weight", 2).T),
        f"{target}.affine.bias": to_float32(variables.take(f"{source}/mod_bias", 1) + np.float32(1)),
    }
    if layer.noise is not None:
        weights[f"{target}.noise_strength"] = to_float32(variables.take(f"{source}/noise_strength", 0))
        weights |= stored_noise(variables, layer)
    return weights


def _scope(layer: Layer) -> str:
    name = layer.name.split(".")[1]
    first = {"conv0": "Conv0_up", "conv1": "Conv1" if layer.out_size > 4 else "Conv", "torgb": "ToRGB"}
    return f"{layer.out_size}x{layer.out_size}/{first[name]}"
