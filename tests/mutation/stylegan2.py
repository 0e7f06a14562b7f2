"""Mutants of StyleGAN2's synthesis graphs."""

from __future__ import annotations

import numpy as np

from runtime.layers.reports import Cause
from tests.mutation import arrays, filters, inputs
from tests.mutation import operations as make
from tests.mutation.mutant import Change, Mutant

HALF_GAIN = 2**-0.5


def _skip(name: str, layer: str, change: Change, cause: Cause | None = None, equivalent: str = "") -> Mutant:
    return Mutant(name, "skip", "synthesis", layer, change, cause, equivalent=equivalent)


NOISE = (
    _skip("noise left out", "b16.conv0", inputs.noise_left_out("b16.conv0"), Cause.NOISE_LEFT_OUT),
    _skip("noise left out of the first layer", "b4.conv1", inputs.noise_left_out("b4.conv1"), Cause.NOISE_LEFT_OUT),
    _skip(
        "two noise inputs swapped",
        "b16.conv0",
        inputs.noises_swapped("b16.conv0", "b16.conv1"),
        Cause.NOISE_ORDER,
    ),
    _skip("noise of the next image", "b8.conv1", inputs.noise_of_next_image("b8.conv1"), Cause.NOISE_ORDER),
    _skip("noise transposed", "b8.conv0", inputs.noise_transposed("b8.conv0"), Cause.NOISE_ORDER),
    _skip("noise negated", "b16.conv1", inputs.noise_times("b16.conv1", -1), Cause.NOISE_STRENGTH),
    _skip("noise twice as strong", "b8.conv0", inputs.noise_times("b8.conv0", 2), Cause.NOISE_STRENGTH),
    _skip("noise 1% stronger", "b8.conv1", inputs.noise_times("b8.conv1", 1.01), Cause.NOISE_STRENGTH),
)

STYLES = (
    _skip("two styles swapped", "b8.conv0", inputs.styles_swapped("b8.conv0", "b8.conv1"), Cause.STYLE_ORDER),
    _skip("last two styles swapped", "b16.conv1", inputs.styles_swapped("b16.conv1", "b16.torgb"), Cause.STYLE_ORDER),
    _skip("toRGB with the row after its own", "b8.torgb", inputs.style_of_row("b8.torgb", 4), Cause.STYLE_ORDER),
    _skip("all rows one later", "b4.conv1", inputs.all_rows_one_later(), Cause.STYLE_ORDER),
    _skip(
        "bias of a style left out",
        "b8.conv1",
        make.bank("bank.affine.bias", "b8.conv1", arrays.nothing),
        Cause.STYLE_BIAS,
    ),
    _skip("first image's styles for all", "b4.conv1", inputs.first_image_for_all("styles"), Cause.BATCH_ORDER),
    _skip("first image's activations for all", "b4.torgb", inputs.first_image_for_all("b4.conv1"), Cause.BATCH_ORDER),
    _skip("next image's activations", "b16.conv1", inputs.batch_rolled("b16.conv1", "Mul"), Cause.BATCH_ORDER),
    _skip(
        "an axis of a style rolled",
        "b16.conv0",
        make.bank("bank.affine.weight", "b16.conv0", lambda a: np.roll(a, 1, 0)),
    ),
)

WEIGHTS = (
    _skip("kernel transposed", "b16.conv1", make.constant("b16_conv1_weight", arrays.turned), Cause.KERNEL),
    _skip("kernel mirrored", "b8.conv1", make.constant("b8_conv1_weight", arrays.mirrored), Cause.KERNEL),
    _skip("up-convolution's kernel transposed", "b8.conv0", filters.up_filter("b8.conv0", np.copy, True), Cause.KERNEL),
    _skip("sign bit", "b16.conv1", make.constant("b16_conv1_weight", arrays.bit(arrays.SIGN)), Cause.ONE_CHANNEL),
    _skip("exponent bit", "b8.conv1", make.constant("b8_conv1_weight", arrays.bit(arrays.EXPONENT)), Cause.ONE_CHANNEL),
    _skip(
        "mantissa's top bit",
        "b4.conv1",
        make.constant("b4_conv1_weight", arrays.bit(arrays.MANTISSA)),
        Cause.ONE_CHANNEL,
    ),
    _skip(
        "mantissa's fourth bit",
        "b16.conv1",
        make.constant("b16_conv1_weight", arrays.bit(arrays.MANTISSA - 3, (2, 3, 1, 1))),
        Cause.ONE_CHANNEL,
    ),
    _skip(
        "bit of an up-convolution",
        "b16.conv0",
        make.constant("b16_conv0_up.weight0", arrays.bit(arrays.MANTISSA, (1, 2, 3, 3))),
        Cause.ONE_CHANNEL,
    ),
    _skip(
        "bit of a style's weight",
        "b8.conv1",
        make.bank("bank.affine.weight", "b8.conv1", arrays.bit(arrays.MANTISSA, (3, 2))),
    ),
    _skip(
        "bit of a demodulation's weight",
        "b16.conv0",
        make.bank("bank.energy", "b16.conv0", arrays.bit(arrays.EXPONENT)),
        Cause.ONE_CHANNEL,
    ),
    _skip("bit of toRGB's weight", "b8.torgb", make.constant("b8_torgb_weight", arrays.bit(arrays.EXPONENT, (1, 2)))),
    _skip("bit of the constant", "b4.conv1", make.constant("const", arrays.bit(arrays.MANTISSA, (0, 3, 1, 2)))),
    _skip(
        "mantissa's lowest bit",
        "",
        make.constant("b16_conv1_weight", arrays.bit(arrays.LOWEST)),
        equivalent="a change of 6e-8 of one weight, as large as the rounding of every product with it",
    ),
    _skip("weights of 10 bits", "b4.conv1", make.ten_bits, Cause.TF32),
    _skip("bias left out", "b16.conv1", make.constant("b16_conv1_bias", arrays.nothing), Cause.BIAS),
    _skip("toRGB's bias left out", "b8.torgb", make.constant("b8_torgb_bias", arrays.nothing), Cause.BIAS),
    _skip("toRGB's channels swapped", "b4.torgb", make.constant("b4_torgb_weight", arrays.reordered)),
)

FILTERS = (
    _skip("up-convolution's filter mirrored", "b8.conv0", filters.up_filter("b8.conv0", np.flip), Cause.FILTER),
    _skip("up-convolution's filter shifted", "b16.conv0", filters.shifted("b16.conv0"), Cause.FILTER),
    _skip("image's filter mirrored", "b8.image", filters.image_filter("b8.image", arrays.mirrored), Cause.FILTER),
    _skip("image's filter shifted", "b16.image", filters.shifted("b16.image"), Cause.FILTER),
    _skip(
        "image's filter without its gain",
        "b8.image",
        filters.image_filter("b8.image", arrays.times(0.25)),
        Cause.SUMMAND,
    ),
    _skip("up-sampled image left out", "b16.image", make.left_out("b16.image", "Add", keep=1), Cause.SUMMAND),
    _skip(
        "image's filter transposed",
        "",
        filters.image_filter("b8.image", arrays.turned),
        equivalent="the filter is an outer product of one array with itself: the same with rows for columns",
    ),
)

ARITHMETIC = (
    _skip("demodulation left out", "b16.conv0", make.demodulation_left_out("b16.conv0"), Cause.DEMODULATION),
    _skip(
        "demodulation left out of the first layer",
        "b4.conv1",
        make.demodulation_left_out("b4.conv1"),
        Cause.DEMODULATION,
    ),
    _skip(
        "demodulation's epsilon 0.01", "b8.conv1", make.bank("bank.epsilon", "b8.conv1", lambda a: a + np.float32(5e-3))
    ),
    _skip("activation's slope 0.1", "b8.conv1", make.slope("b8.conv1", 0.1), Cause.ACTIVATION),
    _skip("activation left out", "b16.conv1", make.slope("b16.conv1", 1.0), Cause.ACTIVATION),
    _skip("activation's gain left out", "b8.conv0", make.gain("b8.conv0", HALF_GAIN), Cause.GAIN),
    _skip("border of ones in place of zeros", "b8.conv1", filters.bordered("b8.conv1"), Cause.BORDER),
)

IMAGES = (
    _skip("channels of the image swapped", "b16.image", make.channels_swapped("b16.image"), Cause.CHANNEL_ORDER),
    _skip(
        "image transposed",
        "b16.image",
        make.another_after("b16.image", "Transpose", perm=[0, 1, 3, 2]),
        Cause.TRANSPOSED,
    ),
    _skip("pixels: channels swapped", "pixels", make.pixels_swapped, Cause.CHANNEL_ORDER),
    _skip("pixels: half a level less", "pixels", make.pixels_offset(127.5)),
    _skip("pixels: rounded, not truncated", "pixels", make.pixels_rounded),
    _skip("pixels: transposed", "pixels", make.pixels_transposed, Cause.TRANSPOSED),
)


def _resnet(name: str, layer: str, change: Change, cause: Cause | None = None, precision: str = "fp32") -> Mutant:
    return Mutant(name, "resnet", "synthesis", layer, change, cause, precision)


RESNET = (
    _resnet("shortcut left out", "b8.sum", make.left_out("b8.sum", "Add"), Cause.SUMMAND),
    _resnet("layer beside the shortcut left out", "b16.sum", make.left_out("b16.sum", "Add", keep=1), Cause.SUMMAND),
    _resnet("shortcut's filter shifted", "b16.sum", filters.shifted("b16.sum"), Cause.FILTER),
    _resnet(
        "bit of a shortcut's weight", "b8.sum", make.constant("skip_8", arrays.bit(arrays.MANTISSA)), Cause.ONE_CHANNEL
    ),
    _resnet("noise left out beside a shortcut", "b8.conv1", inputs.noise_left_out("b8.conv1"), Cause.NOISE_LEFT_OUT),
    _resnet(
        "demodulation left out beside a shortcut",
        "b16.conv1",
        make.demodulation_left_out("b16.conv1", 1.0),
        Cause.DEMODULATION,
    ),
)

HALF = (
    _resnet("float16: noise left out", "b16.conv0", inputs.noise_left_out("b16.conv0"), Cause.NOISE_LEFT_OUT, "fp16"),
    _resnet(
        "float16: two styles swapped",
        "b8.conv0",
        inputs.styles_swapped("b8.conv0", "b8.conv1"),
        Cause.STYLE_ORDER,
        "fp16",
    ),
    _resnet("float16: shortcut left out", "b8.sum", make.left_out("b8.sum", "Add"), Cause.SUMMAND, "fp16"),
    _resnet(
        "float16: kernel transposed", "b8.conv1", make.constant("b8_conv1_weight", arrays.turned), Cause.KERNEL, "fp16"
    ),
    _resnet(
        "float16: exponent bit",
        "b16.conv1",
        make.constant("b16_conv1_weight", arrays.bit(arrays.HALF_EXPONENT, (1, 1))),
        Cause.ONE_CHANNEL,
        "fp16",
    ),
    _resnet("float16: weight's own size left out", "b8.sum", make.constant("skip_8_norm", np.ones_like), None, "fp16"),
)


def _orig(name: str, layer: str, change: Change, cause: Cause | None = None) -> Mutant:
    return Mutant(name, "orig", "synthesis", layer, change, cause)


ORIG = (
    _orig("clamp left out", "b8.conv0", make.clamp_left_out("b8.conv0"), Cause.CLAMP),
    _orig("toRGB's clamp left out", "b16.torgb", make.clamp_left_out("b16.torgb"), Cause.CLAMP),
    _orig("mask off by one", "b8.conv1", make.constant("mixer.blend", arrays.mask_off_by_one)),
    _orig("blend's weights exchanged", "b16.conv0", make.constant("mixer.blend", arrays.mask_exchanged)),
    _orig("mask's sources swapped", "b4.conv1", make.constant("mixer.blend", arrays.mask_sources_swapped)),
)

MUTANTS = (*NOISE, *STYLES, *WEIGHTS, *FILTERS, *ARITHMETIC, *IMAGES, *RESNET, *HALF, *ORIG)
