"""TensorFlow pickles whose variables make no sense: each refusal names the variable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.spec import Architecture, GeneratorSpec, LabelInput
from tests.exporter.checkpoints.known_networks import tensorflow_stylegan1, tensorflow_stylegan2
from tests.exporter.checkpoints.numpy_pickles import FROM_BUFFER, claimed_array, dtype_of
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import Call
from tests.exporter.checkpoints.spoiling import FORGED
from tests.exporter.checkpoints.tensorflow_networks import VERSIONS, honest_variables, tensorflow_pickle

STYLEGAN1, STYLEGAN2 = tensorflow_stylegan1(channels=(4, 3, 2)), tensorflow_stylegan2(channels=(4, 3, 2))
SIGNALLING_NAN = np.full(4, 0x7FA00000, np.uint32).view(np.float32)

Variables = dict[str, Any]
Spoil = Callable[[Variables], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def refuse(path: Path, spec: GeneratorSpec, spoil: Spoil, message: str) -> None:
    variables = dict(honest_variables(spec))
    spoil(variables)
    path.write_bytes(tensorflow_pickle(variables, {}, VERSIONS[spec.generation]))
    assert_refused(path, message)


def put(**changes: Any) -> Spoil:
    """Set variables; `__` stands for a slash."""
    return lambda variables: variables.update({key.replace("__", "/"): value for key, value in changes.items()})


def setting(name: str, value: Any) -> Spoil:
    """Set one variable."""
    return lambda variables: variables.update({name: value})


def without(*names: str) -> Spoil:
    """Remove variables."""
    return lambda variables: [variables.pop(name) for name in names]


def filled(name: str, value: float, dtype: str = "f4") -> Spoil:
    """Fill a variable with one number."""
    return lambda variables: variables.update({name: np.full(variables[name].shape, value, dtype)})


def reshaped(name: str, *shape: int) -> Spoil:
    """Give a variable another shape."""
    return lambda variables: variables.update({name: np.zeros(shape, np.float32)})


def growing(variables: Variables) -> None:
    """One toRGB a level of detail, as StyleGAN has them."""
    for name in [name for name in variables if "/ToRGB/" in name]:
        side = int(name.split("/")[1].split("x")[0])
        variables[f"synthesis/ToRGB_lod{16 // side - 1}/{name.split('/')[-1]}"] = variables.pop(name)


CONV, BIAS = "synthesis/8x8/Conv1/weight", "synthesis/8x8/Conv1/bias"
COMMON: dict[str, tuple[Spoil, str]] = {
    "no mapping": (without("mapping/Dense0/weight"), "lacks the 2-dimensional variable mapping/Dense0/weight"),
    "a mapping layer left out": (
        without("mapping/Dense1/weight", "mapping/Dense1/bias"),
        "mapping.w_avg has shape [9]",
    ),
    "a mapping layer far away": (
        setting("mapping/Dense7/weight", np.zeros((9, 9), np.float32)),
        "has the variable mapping/Dense7/weight, which no such network has",
    ),
    "a mapping without biases": (
        without("mapping/Dense0/bias"),
        "lacks the 1-dimensional variable mapping/Dense0/bias",
    ),
    "mapping layers that do not fit": (reshaped("mapping/Dense1/weight", 5, 9), "mapping.fc1.weight has shape [9, 5]"),
    "a mapping layer of one dimension": (reshaped("mapping/Dense0/weight", 7), "the 2-dimensional variable mapping"),
    "a latent of 20,000": (
        reshaped("mapping/Dense0/weight", 20_000, 1),
        "z_dim is 20000, expected 1 to 16384",
    ),
    "labels wider than the input": (reshaped("mapping/LabelConcat/weight", 3, 7), "z_dim is 0, expected 1 to 16384"),
    "embedded labels without a bias": (
        reshaped("mapping/LabelEmbed/weight", 3, 2),
        "lacks the 1-dimensional variable mapping/LabelEmbed/bias",
    ),
    "labels of two kinds": (
        put(
            mapping__LabelConcat__weight=np.zeros((3, 2), np.float32),
            mapping__LabelEmbed__weight=np.zeros((3, 2), np.float32),
            mapping__LabelEmbed__bias=np.zeros(2, np.float32),
        ),
        "which no such network has",
    ),
    "another mean of w": (reshaped("dlatent_avg", 8), "the tensor mapping.w_avg has shape [8], expected [9]"),
    "a mean of w with two dimensions": (reshaped("dlatent_avg", 1, 9), "the 1-dimensional variable dlatent_avg"),
    "no constant": (without("synthesis/4x4/Const/const"), "lacks the 4-dimensional variable synthesis/4x4/Const/const"),
    "a constant for each of five images": (
        reshaped("synthesis/4x4/Const/const", 5, 4, 4, 4),
        "synthesis/4x4/Const/const has shape [5, 4, 4, 4], expected 1 in front",
    ),
    "a constant of 8 px": (reshaped("synthesis/4x4/Const/const", 1, 4, 8, 8), "b4.const has shape [4, 8, 8], expected"),
    "a convolution left out": (without(CONV), "has the variable synthesis/"),
    "an up-sampling convolution left out": (
        without("synthesis/16x16/Conv0_up/weight"),
        "lacks the 4-dimensional variable synthesis/16x16/Conv0_up/weight",
    ),
    "a kernel of 5 px": (reshaped(CONV, 5, 5, 3, 3), "b8.conv1.weight has shape [3, 3, 5, 5], expected [3, 3, 3, 3]"),
    "a convolution of other widths": (reshaped(CONV, 3, 3, 3, 5), "expected [5, "),
    "a convolution of three dimensions": (reshaped(CONV, 3, 3, 3), f"lacks the 4-dimensional variable {CONV}"),
    "an empty convolution": (reshaped(CONV, 3, 3, 0, 3), f"lacks the 4-dimensional variable {CONV}"),
    "no bias": (without(BIAS), f"lacks the 1-dimensional variable {BIAS}"),
    "a bias that is a number": (setting(BIAS, 0.5), f"lacks the 1-dimensional variable {BIAS}"),
    "NaN": (filled(BIAS, np.nan), "b8.conv1.bias holds NaN or infinity: damaged, or training diverged"),
    "infinity": (filled(CONV, np.inf), "b8.conv1.weight holds NaN or infinity"),
    "numbers beyond float32": (filled(CONV, 1e300, "f8"), "b8.conv1.weight holds NaN or infinity"),
    "numbers beyond float32 in the mean of w": (filled("dlatent_avg", 1e300, "f8"), "w_avg holds NaN or infinity"),
    "noise for each of two images": (
        reshaped("synthesis/noise1", 2, 1, 8, 8),
        "synthesis/noise1 has shape [2, 1, 8, 8], expected 1, 1 in front",
    ),
    "noise of another resolution": (
        reshaped("synthesis/noise4", 1, 1, 8, 8),
        "noise_const has shape [8, 8], expected [16, 16]",
    ),
    "noise left out once": (without("synthesis/noise2"), "], but has others' noise: expected all or none"),
    "noise of three dimensions": (
        reshaped("synthesis/noise2", 1, 8, 8),
        "lacks the 4-dimensional variable synthesis/noise2",
    ),
    "text": (setting(BIAS, claimed_array((3,), bytes(12), dtype_of("U1"))), "of type 'U1', expected numbers"),
    "objects": (setting(BIAS, claimed_array((3,), [1, 2, 3], dtype_of("O8"))), "of type 'O8', expected numbers"),
    "a gigabyte in 12 bytes": (setting(BIAS, claimed_array((10**9,), bytes(12))), "has 12 bytes"),
    "a buffer of a gigabyte in 12 bytes": (
        setting(BIAS, Call(FROM_BUFFER, (bytes(12), dtype_of("f4"), (10**9,), "C"))),
        "has 12 bytes",
    ),
    "a shape of 6000 digits": (setting(BIAS, claimed_array((10**6000,), bytes(12))), "damaged"),
    "a bias without a state": (setting(BIAS, claimed_array((3,), None)), "not made of bytes and a shape"),
    "a foreign variable": (put(synthesis__x=np.zeros(1, np.float32)), "has the variable synthesis/x, which no such"),
    "a foreign variable named to forge a line": (setting(FORGED, 0.5), r"has the variable a\nError: \x1b[2J, which"),
    "a foreign variable with an endless name": (setting("x" * 100_000, 0.5), "has the variable xxx"),
}


@pytest.mark.parametrize("spec", [STYLEGAN1, STYLEGAN2], ids=["StyleGAN", "StyleGAN2"])
@pytest.mark.parametrize("case", COMMON)
def test_a_variable_that_makes_no_sense_is_refused(case: str, spec: GeneratorSpec, path: Path) -> None:
    spoil, message = COMMON[case]
    refuse(path, spec, spoil, message)


OWN: dict[str, tuple[GeneratorSpec, Spoil, str]] = {
    "a stored level of detail of NaN": (STYLEGAN1, filled("lod", np.nan), "level of detail is nan, expected 0 to 2"),
    "a stored level of detail of infinity": (STYLEGAN1, filled("lod", np.inf), "level of detail is inf, expected 0 to"),
    "a negative level of detail": (STYLEGAN1, filled("lod", -0.5), "level of detail is -0.5, expected 0 to 2"),
    "a level of detail below 4 px": (STYLEGAN1, filled("lod", 2.5), "level of detail is 2.5, expected 0 to 2"),
    "a level of detail of one dimension": (STYLEGAN1, reshaped("lod", 1), "lacks the 0-dimensional variable lod"),
    "a level of detail where RGB is made once": (
        tensorflow_stylegan1(channels=(4, 3), rgb_everywhere=False),
        filled("lod", 1.0),
        "level of detail is 1, but this network makes RGB only at its last resolution: expected 0",
    ),
    "no last toRGB": (
        STYLEGAN1,
        without("synthesis/ToRGB_lod0/weight"),
        "lacks the 4-dimensional variable synthesis/ToRGB_lod0/weight",
    ),
    "a toRGB left out in the middle": (
        STYLEGAN1,
        without("synthesis/ToRGB_lod1/weight"),
        "has the variable synthesis/ToRGB_lod1/bias, which no such network has",
    ),
    "a toRGB too many": (
        STYLEGAN1,
        put(synthesis__ToRGB_lod3__bias=np.zeros(3, np.float32)),
        "has the variable synthesis/ToRGB_lod3/bias",
    ),
    "two image channels": (
        STYLEGAN1,
        reshaped("synthesis/ToRGB_lod0/weight", 1, 1, 2, 2),
        "makes 2 image channels, expected 1, 3 or 4",
    ),
    "half a style": (STYLEGAN1, reshaped("synthesis/8x8/Conv1/StyleMod/weight", 9, 3), "style.weight has shape [3, 9]"),
    "noise weights left out once": (
        STYLEGAN1,
        without("synthesis/4x4/Conv/Noise/weight"),
        "lacks the 1-dimensional variable synthesis/4x4/Conv/Noise/weight",
    ),
    "a noise strength left out once": (
        STYLEGAN2,
        without("synthesis/4x4/Conv/noise_strength"),
        "lacks the 0-dimensional variable synthesis/4x4/Conv/noise_strength",
    ),
    "a noise strength for each channel": (
        STYLEGAN2,
        reshaped("synthesis/8x8/Conv1/noise_strength", 3),
        "lacks the 0-dimensional variable synthesis/8x8/Conv1/noise_strength",
    ),
    "a signalling NaN": (
        STYLEGAN2,
        setting("synthesis/8x8/Conv0_up/mod_bias", SIGNALLING_NAN),
        "b8.conv0.affine.bias holds NaN or infinity",
    ),
    "a signalling NaN of double precision": (
        STYLEGAN2,
        setting("synthesis/8x8/Conv0_up/mod_bias", np.full(4, 0x7FF4000000000000, np.uint64).view(np.float64)),
        "b8.conv0.affine.bias holds NaN or infinity",
    ),
    "toRGB left out in the middle": (
        STYLEGAN2,
        without("synthesis/8x8/ToRGB/weight"),
        "has the variable synthesis/4x4/ToRGB/bias, which no such network has",
    ),
    "configurations B to D, which grow": (
        STYLEGAN2,
        growing,
        "a StyleGAN2 of configuration B, C or D, which grows progressively (it has synthesis/ToRGB_lod0/weight); "
        "only configurations A, E and F are supported",
    ),
    "no toRGB at the end": (
        STYLEGAN2,
        without("synthesis/16x16/ToRGB/weight"),
        "lacks the 4-dimensional variable synthesis/16x16/ToRGB/weight",
    ),
    "a skip left out": (
        tensorflow_stylegan2(Architecture.RESNET),
        without("synthesis/8x8/Skip/weight"),
        "lacks the 4-dimensional variable synthesis/8x8/Skip/weight",
    ),
    "a skip of 3 px": (
        tensorflow_stylegan2(Architecture.RESNET),
        reshaped("synthesis/8x8/Skip/weight", 3, 3, 6, 5),
        "b8.skip.weight has shape [5, 6, 3, 3], expected [5, 6, 1, 1]",
    ),
    "labels whose widths differ": (
        tensorflow_stylegan2(label=LabelInput.EMBED),
        reshaped("mapping/LabelEmbed/bias", 4),
        "mapping.embed.bias has shape [4], expected [5]",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", OWN)
def test_a_variable_of_one_generation_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spec, spoil, message = OWN[case]
    refuse(path, spec, spoil, message)
