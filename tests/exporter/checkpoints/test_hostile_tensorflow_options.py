"""TensorFlow pickles whose options make no sense: each refusal names the option."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.spec import GeneratorSpec
from tests.exporter.checkpoints.known_networks import tensorflow_stylegan1, tensorflow_stylegan2
from tests.exporter.checkpoints.numpy_pickles import FROM_BUFFER, dtype_of
from tests.exporter.checkpoints.pickle_writing import nested_lists
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import Call, Raw
from tests.exporter.checkpoints.spoiling import FORGED
from tests.exporter.checkpoints.tensorflow_networks import VERSIONS, honest_variables, tensorflow_pickle

STYLEGAN1, STYLEGAN2 = tensorflow_stylegan1(channels=(4, 3, 2)), tensorflow_stylegan2(channels=(4, 3, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def refuse(path: Path, spec: GeneratorSpec, options: Mapping[str, Any], message: str) -> None:
    path.write_bytes(tensorflow_pickle(honest_variables(spec), options, VERSIONS[spec.generation]))
    assert_refused(path, message)


TOO_DEEP, TOO_LARGE = Raw(nested_lists(1_200)), Raw(nested_lists(40, width=2))
ARRAY = Call(FROM_BUFFER, (bytes(8), dtype_of("f4"), (2,), "C"))
SILLY = {
    "text": "x",
    "a dictionary": {},
    "a list": [[]],
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a huge number": 10**6000,
    "a large number": 10**300,
    "an array": ARRAY,
    "a deep list": TOO_DEEP,
    "a list too large to print": TOO_LARGE,
    "text to forge a line": FORGED,
}
"""Values that no option can have."""
BOTH = (
    *("resolution", "use_noise", "truncation_psi", "truncation_cutoff", "mapping_lrmul", "nonlinearity"),
    "surprise",
)
READ = {
    tensorflow_stylegan1(channels=(2,)): (
        *BOTH,
        "blur_filter",
        "fused_scale",
        "structure",
        "use_styles",
        "normalize_latents",
    ),
    tensorflow_stylegan2(channels=(2,)): (
        *BOTH,
        "resample_kernel",
        "architecture",
        "conv_clamp",
        "mapping_nonlinearity",
    ),
}
"""Networks of 4 px, so that their files are small, and the options that their readers look at."""


@pytest.mark.parametrize(
    ("spec", "option"),
    [pytest.param(spec, name, id=f"{spec.generation.value}-{name}") for spec, names in READ.items() for name in names],
)
@pytest.mark.parametrize("value", SILLY)
def test_an_option_of_another_type_is_named(value: str, spec: GeneratorSpec, option: str, path: Path) -> None:
    refuse(path, spec, {option: SILLY[value]}, option)


OPTIONS: dict[str, tuple[GeneratorSpec, dict[str, Any], str]] = {
    "an unknown option": (STYLEGAN1, {"attention": True}, "built with the option attention = True, which is not under"),
    "an unknown option named to forge a line": (STYLEGAN1, {FORGED: 1}, r"the option a\nError: \x1b[2J = 1"),
    "another activation": (STYLEGAN1, {"nonlinearity": "relu"}, "nonlinearity = 'relu'; only 'lrelu' is supported"),
    "another activation of the mapping": (STYLEGAN2, {"mapping_nonlinearity": "relu"}, "only 'lrelu' is supported"),
    "no constant input": (STYLEGAN1, {"const_input_layer": False}, "const_input_layer = False; only True is supported"),
    "a whole number for a truth value": (STYLEGAN1, {"use_styles": 0}, "use_styles = 0; only True is supported"),
    "pixel norm": (STYLEGAN1, {"use_pixel_norm": True}, "use_pixel_norm = True; only False is supported"),
    "another resolution": (STYLEGAN1, {"resolution": 32}, "says resolution = 32, but its variables reach 16"),
    "a resolution of 0": (STYLEGAN2, {"resolution": 0}, "says resolution = 0, but its variables reach 16"),
    "no resolution": (STYLEGAN2, {"resolution": None}, "says resolution = None, but its variables reach 16"),
    "fused otherwise": (STYLEGAN1, {"fused_scale": 1}, "fused_scale = 1, expected True, False or 'auto'"),
    "fused at times": (STYLEGAN1, {"fused_scale": "never"}, "fused_scale = 'never', expected True, False or 'auto'"),
    "another structure": (
        STYLEGAN1,
        {"structure": "growing"},
        "built with structure = 'growing', expected one of auto, linear, recursive, fixed",
    ),
    "no structure": (STYLEGAN1, {"structure": None}, "structure = None, expected one of auto, linear, recursive, fix"),
    "noise at times": (STYLEGAN1, {"use_noise": 1}, "built with use_noise = 1, expected True or False"),
    "no taps": (STYLEGAN1, {"blur_filter": []}, "built with a blur_filter that sums to 0"),
    "taps that cancel": (STYLEGAN2, {"resample_kernel": [1, -1]}, "built with a resample_kernel that sums to 0"),
    "one tap": (STYLEGAN2, {"resample_kernel": [1]}, "resampling filter taps is 1, expected 2 to 32"),
    "a hundred taps": (STYLEGAN1, {"blur_filter": [1] * 100}, "blur filter taps is 100, expected 2 to 32"),
    "no filter": (STYLEGAN2, {"resample_kernel": None}, "resample_kernel = None, expected a few numbers"),
    "taps of NaN": (STYLEGAN2, {"resample_kernel": [float("nan"), 1]}, "resample_kernel"),
    "taps beyond every bound": (STYLEGAN2, {"resample_kernel": [10**400, 1]}, "resample_kernel"),
    "taps of rows": (STYLEGAN2, {"resample_kernel": [[1, 1], [1, 1]]}, "resample_kernel = a list, expected a few"),
    "a fractional cutoff": (STYLEGAN1, {"truncation_cutoff": 2.5}, "truncation_cutoff = 2.5, expected a whole number"),
    "a negative cutoff": (STYLEGAN1, {"truncation_cutoff": -1}, "default cutoff is -1, expected 0 to 2147483648"),
    "a cutoff that is a truth value": (STYLEGAN2, {"truncation_cutoff": True}, "truncation_cutoff = True, expected a"),
    "a clamp of 0": (STYLEGAN2, {"conv_clamp": 0}, "conv_clamp is 0.0, expected a positive number"),
    "a clamp for StyleGAN": (STYLEGAN1, {"conv_clamp": 256}, "built with the option conv_clamp = 256, which is not"),
    "another architecture": (
        STYLEGAN2,
        {"architecture": "resnet"},
        "says architecture = 'resnet', but its variables are those of 'skip'",
    ),
    "an unknown architecture": (STYLEGAN2, {"architecture": "dense"}, "says architecture = 'dense', but its variables"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spec, options, message = OPTIONS[case]
    refuse(path, spec, options, message)
