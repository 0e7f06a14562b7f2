"""Mutants of mapping and pipeline graphs, and of StyleGAN's and StyleGAN3's synthesis graphs."""

from __future__ import annotations

import numpy as np

from runtime.layers.reports import Cause
from tests.mutation import arrays, filters, inputs
from tests.mutation import operations as make
from tests.mutation.mutant import Change, Mutant


def _mapping(name: str, layer: str, change: Change, cause: Cause | None = None) -> Mutant:
    return Mutant(name, "skip", "mapping", layer, change, cause)


MAPPING = (
    _mapping("a layer left out", "mapping.fc1", make.mapping_layer_left_out("mapping.fc1")),
    _mapping("normalisation of z left out", "mapping.fc0", make.normalisation_left_out("z")),
    _mapping("two classes swapped", "mapping.fc0", make.constant("embed_weight", lambda a: a[[0, 1, 2, 4, 3]])),
    _mapping(
        "bit of a weight",
        "mapping.fc1",
        make.constant("weight1", arrays.bit(arrays.MANTISSA, (3, 4))),
        Cause.ONE_CHANNEL,
    ),
    _mapping(
        "bit of the last layer",
        "mapping.fc2",
        make.constant("weight2", arrays.bit(arrays.SIGN, (8, 8))),
        Cause.ONE_CHANNEL,
    ),
    _mapping("activation left out", "mapping.fc1", make.slope("mapping.fc1", 1.0), Cause.ACTIVATION),
    _mapping("bias left out", "mapping.fc2", make.constant("bias2", arrays.nothing)),
    _mapping("label of the next image", "mapping.fc0", inputs.label_of_next_image),
)


def _pipeline(name: str, layer: str, change: Change, cause: Cause | None = None) -> Mutant:
    return Mutant(name, "skip", "pipeline", layer, change, cause)


PIPELINE = (
    _pipeline("psi beyond the cutoff", "ws", inputs.psi_of_first_row, Cause.TRUNCATION),
    _pipeline("psi reversed", "ws", inputs.psi_reversed, Cause.TRUNCATION),
    _pipeline("one row not truncated", "ws", inputs.psi_of_one_row_left_out(2), Cause.TRUNCATION),
    _pipeline("mean of w left out", "ws", make.constant("w_avg", arrays.nothing), Cause.TRUNCATION),
    _pipeline(
        "bit of the mean of w", "ws", make.constant("w_avg", arrays.bit(arrays.MANTISSA, (4,))), Cause.TRUNCATION
    ),
    _pipeline(
        "bit of mapping", "mapping.fc1", make.constant("mapping.weight1", arrays.bit(arrays.SIGN)), Cause.ONE_CHANNEL
    ),
    _pipeline("normalisation of the label left out", "mapping.fc0", make.normalisation_left_out("addmm")),
    _pipeline("two styles swapped", "b16.conv0", inputs.styles_swapped("b16.conv0", "b16.conv1"), Cause.STYLE_ORDER),
    _pipeline("noise left out", "b8.conv1", inputs.noise_left_out("b8.conv1"), Cause.NOISE_LEFT_OUT),
    _pipeline("pixels: channels swapped", "pixels", make.pixels_swapped, Cause.CHANNEL_ORDER),
)


def _first(name: str, layer: str, change: Change, cause: Cause | None = None) -> Mutant:
    return Mutant(name, "stylegan", "synthesis", layer, change, cause)


STYLEGAN = (
    _first("noise left out", "b8.conv1", inputs.noise_left_out("b8.conv1"), Cause.NOISE_LEFT_OUT),
    _first("two noise inputs swapped", "b16.conv0", inputs.noises_swapped("b16.conv0", "b16.conv1"), Cause.NOISE_ORDER),
    _first("two styles swapped", "b4.conv0", inputs.styles_swapped("b4.conv0", "b4.conv1"), Cause.STYLE_ORDER),
    _first("mean of the next image", "b8.conv0", make.mean_of_next_image("b8.conv0")),
    _first("mean not taken off", "b16.conv1", make.left_out("b16.conv1", "Sub"), None),
    _first("variance not divided by", "b8.conv1", make.deviation_left_out("b8.conv1")),
    _first("normalisation's epsilon 0.01", "b4.conv1", make.epsilon_added("b4.conv1", 1e-2)),
    _first("blur left out", "b8.conv0", make.constant("blur_5", arrays.centre_alone), Cause.FILTER),
    _first("blur shifted", "b16.conv0", filters.shifted("b16.conv0", "Conv"), Cause.FILTER),
    _first("kernel transposed", "b16.conv1", make.constant("b16_conv1_weight", arrays.turned), Cause.KERNEL),
    _first("sign bit", "b8.conv1", make.constant("b8_conv1_weight", arrays.bit(arrays.SIGN)), Cause.ONE_CHANNEL),
    _first("scale and shift swapped", "b4.conv1", make.bank("affine.bias", "b4.conv1", lambda a: np.roll(a, 6, -1))),
)


def _third(kind: str, name: str, layer: str, change: Change, cause: Cause | None = None) -> Mutant:
    return Mutant(name, f"stylegan3-{kind}", "synthesis", layer, change, cause)


STYLEGAN3 = (
    _third("t", "transform ignored", "input", inputs.transform_ignored, Cause.TRANSFORM),
    _third("t", "transform transposed", "input", inputs.transform_transposed, Cause.TRANSFORM),
    _third("t", "a frequency changed", "input", make.constant("entry.freqs", arrays.bit(arrays.MANTISSA, (2, 1)))),
    _third("t", "phase bit", "input", make.constant("entry.phases", arrays.bit(arrays.MANTISSA, (1, 2)))),
    _third("t", "sine of the next image", "input", inputs.batch_rolled("input", "Sin")),
    _third("t", "two styles swapped", "L0_24_6", inputs.styles_swapped("L0_24_6", "L1_24_6"), Cause.STYLE_ORDER),
    _third("t", "demodulation left out", "L1_24_6", make.demodulation_left_out("L1_24_6", 0.1)),
    _third("t", "up-sampling filter shifted", "L2_24_4", filters.padded_otherwise("L2_24_4")),
    _third("t", "activation left out", "L1_24_6", make.slope("L1_24_6", 1.0, every=True), Cause.ACTIVATION),
    _third("t", "kernel mirrored", "L3_16_4", make.constant("L3_16_4_weight", arrays.mirrored), Cause.KERNEL),
    _third(
        "t", "exponent bit", "L0_24_6", make.constant("L0_24_6_weight", arrays.bit(arrays.EXPONENT)), Cause.ONE_CHANNEL
    ),
    _third("t", "toRGB's bias left out", "L4_16_3", make.constant("L4_16_3_bias", arrays.nothing), Cause.BIAS),
    _third("r", "transform ignored", "input", inputs.transform_ignored, Cause.TRANSFORM),
    _third("r", "down-sampling filter mirrored", "L0_24_12", filters.down_filter_mirrored("L0_24_12"), Cause.FILTER),
    _third("r", "down-sampling filter transposed", "L1_24_12", filters.down_filter_turned("L1_24_12"), Cause.FILTER),
    _third("r", "one phase's activation left out", "L1_24_12", make.slope("L1_24_12", 1.0)),
    _third("r", "style of the layer after", "L2_24_8", inputs.style_of_row("L2_24_8", 4), Cause.STYLE_ORDER),
    _third("r", "bias left out", "L1_24_12", make.layer_bias_left_out("L1_24_12"), Cause.BIAS),
)

MUTANTS = (*MAPPING, *PIPELINE, *STYLEGAN, *STYLEGAN3)
