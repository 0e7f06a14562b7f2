"""Safetensors files whose specification lies, of every generation: refused by field, before anything is allocated."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from exporter.checkpoints import write_safetensors
from runtime.spec import GeneratorSpec, LabelInput
from tests.exporter.checkpoints.known_networks import tensorflow_stylegan1
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.safetensors_files import ours, safetensors
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NAN, INFINITY = float("nan"), float("inf")
STYLEGAN1, STYLEGAN3 = tensorflow_stylegan1(LabelInput.CONCAT), tiny_stylegan3_spec()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.safetensors"


STYLEGAN1_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no block": ({"channels": []}, "synthesis blocks is 0, expected 1 to 11"),
    "a picture of 8192 px": ({"channels": [1] * 12}, "synthesis blocks is 12, expected 1 to 11"),
    "a block of no channel": ({"channels": [6, 0]}, "channels is 0, expected 1 to 16384"),
    "a block of a billion channels": ({"channels": [10**9]}, "channels is 1000000000, expected 1 to 16384"),
    "one tap": ({"blur_filter": [1.0]}, "blur filter taps is 1, expected 2 to 32"),
    "a hundred taps": ({"blur_filter": [0.01] * 100}, "blur filter taps is 100, expected 2 to 32"),
    "taps without end": ({"blur_filter": [0.01] * 100_000}, "blur filter taps is 100000, expected 2 to 32"),
    "a tap of NaN": ({"blur_filter": [NAN, 1.0]}, "blur filter is nan, expected a finite number"),
    "an epsilon of 0": ({"norm_epsilon": 0}, "norm_epsilon is 0.0, expected a positive number"),
    "a negative epsilon": ({"norm_epsilon": -1e-8}, "norm_epsilon is -1e-08, expected a positive number"),
    "an epsilon of NaN": ({"norm_epsilon": NAN}, "norm_epsilon is nan, expected a finite number"),
    "a gain of 0": ({"rates__conv": 0.0}, "gain of conv is 0.0, expected a positive number"),
    "a gain of infinity": ({"rates__style": INFINITY}, "gain of style is inf, expected a finite number"),
    "a gain of text": ({"rates__rgb": "1"}, "synthesis.rates.rgb: found str '1', expected float"),
    "a negative gain of noise": ({"rates__noise": -1}, "gain of noise is -1.0, expected a positive number"),
    "no gains": ({"rates": None}, "synthesis.rates: found NoneType None, expected an object with the fields of Equal"),
    "gains in a list": ({"rates": [1, 1, 1, 1]}, "synthesis.rates: found list, expected an object with the fields of"),
    "an offset of NaN": ({"style_offset": NAN}, "style_offset is nan, expected a finite number"),
    "a bias at times": ({"bias_before_blur": 1}, "bias_before_blur: found int 1, expected bool"),
    "noise at times": ({"use_noise": None}, "use_noise: found NoneType None, expected bool"),
    "RGB at times": ({"rgb_everywhere": "yes"}, "rgb_everywhere: found str 'yes', expected bool"),
    "a level of detail below 4 px": ({"lod": 2.5}, "level of detail is 2.5, expected 0 to 2"),
    "a negative level of detail": ({"lod": -1}, "level of detail is -1, expected 0 to 2"),
    "a level of detail of NaN": ({"lod": NAN}, "level of detail is nan, expected 0 to 2"),
    "a level of detail of 400 digits": ({"lod": 10**400}, "lod: found a huge number, expected float"),
    "a level of detail where RGB is made once": (
        {"lod": 1, "rgb_everywhere": False},
        "level of detail is 1, but this network makes RGB only at its last resolution: expected 0",
    ),
}


@pytest.mark.parametrize("case", STYLEGAN1_FIELDS)
def test_a_field_of_stylegan_that_lies_is_named(case: str, path: Path) -> None:
    changes, message = STYLEGAN1_FIELDS[case]
    fields = {f"synthesis__{name}": value for name, value in changes.items()}
    path.write_bytes(safetensors(ours(STYLEGAN1, **fields)))
    assert_refused(path, message)


FIRST = "filtered__0__"
LAST = "filtered__4__"
STYLEGAN3_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "input channels of 0": ({"fourier__channels": 0}, "input channels is 0, expected 1 to 16384"),
    "other input channels": ({"fourier__channels": 5}, "takes 6 channels of 24 px, but the layer before it puts out 5"),
    "an input of a million px": ({"fourier__size": 10**6}, "input size is 1000000, expected 1 to 4224"),
    "a sampling rate of 0": ({"fourier__sampling_rate": 0}, "input sampling rate is 0.0, expected a positive number"),
    "a sampling rate of infinity": ({"fourier__sampling_rate": INFINITY}, "sampling rate is inf, expected a finite"),
    "a sampling rate of NaN": ({"fourier__sampling_rate": NAN}, "sampling rate is nan, expected a finite number"),
    "a bandwidth of half the rate": ({"fourier__bandwidth": 8}, "bandwidth is 8, expected from 0 to less than half"),
    "a negative bandwidth": ({"fourier__bandwidth": -0.5}, "bandwidth is -0.5, expected from 0 to less than half"),
    "a bandwidth of NaN": ({"fourier__bandwidth": NAN}, "bandwidth is nan, expected from 0 to less than half"),
    "no input": ({"fourier": {}}, "synthesis.fourier: the field 'channels' is missing"),
    "no layer": ({"filtered": []}, "synthesis layers is 0, expected 2 to 64"),
    "a layer of text": ({"filtered": ["L0_24_6"]}, "filtered[0]: found str 'L0_24_6', expected an object"),
    "a layer of nothing": ({"filtered": [{}]}, "synthesis.filtered[0]: the field 'name' is missing"),
    "a layer called as the input": ({f"{FIRST}name": "input"}, "a layer is named 'input', expected one like"),
    "a layer called as a method": ({f"{FIRST}name": "forward"}, "a layer is named 'forward', expected one like"),
    "a layer with a dot": ({f"{FIRST}name": "L0.24.6"}, "a layer is named 'L0.24.6', expected one like 'L0_36_512'"),
    "a layer without a name": ({f"{FIRST}name": ""}, "a layer is named '', expected one like"),
    "a layer whose name ends a line": ({f"{FIRST}name": "L0_24_6\n"}, r"a layer is named 'L0_24_6\n', expected one"),
    "a layer that would forge a line": ({f"{FIRST}name": "a\nError: \x1b[2J"}, r"named 'a\nError: \x1b[2J', expected"),
    "a layer with an endless name": ({f"{FIRST}name": "L" * 10**6}, "a layer is named 'LLLLL"),
    "a layer with a number for a name": ({f"{FIRST}name": 0}, "filtered[0].name: found int 0, expected str"),
    "two layers of one name": ({"filtered__1__name": "L0_24_6"}, "two layers have one name, expected a name of its"),
    "channels of 0": ({f"{FIRST}out_channels": 0}, "L0_24_6: out_channels is 0, expected 1 to 16384"),
    "a size of a million px": ({f"{FIRST}out_size": 10**6}, "L0_24_6: out_size is 1000000, expected 1 to 4224"),
    "a fractional size": ({f"{FIRST}out_size": 24.0}, "filtered[0].out_size: found float 24.0, expected int"),
    "another size": ({f"{FIRST}out_size": 25}, "L0_24_6 makes 58 px to filter, expected 60 for 25 px"),
    "an up-sampling by 0": ({f"{FIRST}up": 0}, "L0_24_6: up is 0, expected 1 to 8"),
    "a down-sampling by 9": ({f"{FIRST}down": 9}, "L0_24_6: down is 9, expected 1 to 8"),
    "no taps": ({f"{FIRST}up_taps": 0}, "L0_24_6: up_taps is 0, expected 1 to 32"),
    "taps without end": ({f"{FIRST}down_taps": 10**12}, "L0_24_6: down_taps is 1000000000000, expected 1 to 32"),
    "one tap": ({f"{FIRST}down_taps": 1}, "L0_24_6: down is 2 without a filter, expected 1"),
    "a radial filter of one tap": (
        {f"{FIRST}down_taps": 1, f"{FIRST}down": 1, f"{FIRST}radial": True},
        "L0_24_6: the filter for down-sampling is radial, but has 1 tap: expected more",
    ),
    "a radial filter at times": ({f"{FIRST}radial": 0}, "filtered[0].radial: found int 0, expected bool"),
    "no padding": ({f"{FIRST}padding": []}, "L0_24_6: number of paddings is 0, expected 2 to 2"),
    "paddings without end": ({f"{FIRST}padding": [0] * 10**5}, "number of paddings is 100000, expected 2 to 2"),
    "a padding beyond every bound": ({f"{FIRST}padding": [257, 0]}, "padding is 257, expected -256 to 256"),
    "a padding that crops all": ({f"{FIRST}padding": [217, -200]}, "L0_24_6 crops all of its 52 px, expected less"),
    "a crop in toRGB": ({f"{LAST}padding": [-1, 1]}, "L4_16_3 makes RGB, but filters or pads: expected a convolution"),
    "other image channels": ({f"{LAST}out_channels": 4}, "the generator's last layer makes 4 channels, expected 3"),
    "a kernel of 0": ({"conv_kernel": 0}, "convolution kernel is 0, expected 1 to 7"),
    "a kernel of 9": ({"conv_kernel": 9}, "convolution kernel is 9, expected 1 to 7"),
    "a negative clamp": ({"conv_clamp": -1}, "conv_clamp is -1.0, expected a positive number"),
    "an output scale of infinity": ({"output_scale": -INFINITY}, "output_scale is -inf, expected a finite number"),
}


@pytest.mark.parametrize("case", STYLEGAN3_FIELDS)
def test_a_field_of_stylegan3_that_lies_is_named(case: str, path: Path) -> None:
    changes, message = STYLEGAN3_FIELDS[case]
    fields = {f"synthesis__{name}": value for name, value in changes.items()}
    path.write_bytes(safetensors(ours(STYLEGAN3, **fields)))
    assert_refused(path, message)


COMMON: dict[str, tuple[GeneratorSpec, dict[str, Any], str]] = {
    "StyleGAN as StyleGAN2": (STYLEGAN1, {"generation": "stylegan2"}, "synthesis: unknown field 'bias_before_blur'"),
    "StyleGAN as StyleGAN3": (STYLEGAN1, {"generation": "stylegan3"}, "synthesis: unknown field 'bias_before_blur'"),
    "StyleGAN2 as StyleGAN": (tiny_spec(), {"generation": "stylegan1"}, "synthesis: unknown field 'architecture'"),
    "StyleGAN3 as StyleGAN": (STYLEGAN3, {"generation": "stylegan1"}, "synthesis: unknown field 'conv_clamp'"),
    "StyleGAN3 as StyleGAN2": (STYLEGAN3, {"generation": "stylegan2"}, "synthesis: unknown field 'conv_kernel'"),
    "no synthesis": (STYLEGAN3, {"synthesis": {}}, "synthesis: the field 'fourier' is missing"),
    "an endless generation": (STYLEGAN3, {"generation": "s" * 10**6}, "generation: found 'sssss"),
    "a generation of 6000 digits": (
        STYLEGAN3,
        {"generation": 10**4000},
        "generation: found a huge number, expected one",
    ),
    "an endless field": (STYLEGAN1, {"s" * 10**6: 1}, "specification: unknown field 'sssss"),
    "labels of another kind": (
        STYLEGAN1,
        {"mapping__label": "both"},
        "label: found 'both', expected one of embed, con",
    ),
    "a gain of NaN": (STYLEGAN1, {"mapping__weight_gain": NAN}, "weight_gain is nan, expected a finite number"),
    "an activation of NaN": (STYLEGAN1, {"mapping__activation_gain": NAN}, "activation_gain is nan, expected a finite"),
    "a psi of NaN": (STYLEGAN1, {"truncation__psi": NAN}, "default psi is nan, expected a finite number"),
    "a psi of text": (STYLEGAN1, {"truncation__psi": "0.7"}, "truncation.psi: found str '0.7', expected float"),
    "a negative cutoff": (STYLEGAN1, {"truncation__cutoff": -1}, "default cutoff is -1, expected 0 to 2147483648"),
    "a fractional cutoff": (STYLEGAN1, {"truncation__cutoff": 8.0}, "truncation.cutoff: found float 8.0, expected int"),
    "no truncation": (STYLEGAN1, {"truncation": None}, "truncation: found NoneType None, expected an object with the"),
}


@pytest.mark.parametrize("case", COMMON)
def test_a_field_of_any_generation_that_lies_is_named(case: str, path: Path) -> None:
    spec, changes, message = COMMON[case]
    path.write_bytes(safetensors(ours(spec, **changes)))
    assert_refused(path, message)


MAX = 16384
LAYER = {"up": 1, "down": 1, "up_taps": 1, "down_taps": 1, "radial": False, "padding": [-3, -3]}
SIDES = {"in_channels": MAX, "out_channels": MAX, "in_size": 4224, "out_size": 4224}
BOMBS: dict[str, tuple[GeneratorSpec, dict[str, Any], str]] = {
    "StyleGAN of 16,384 channels and 4096 px": (
        tiny_stylegan1_spec(),
        {"synthesis__channels": [MAX] * 11},
        "lacks the tensor mapping.fc0.weight",
    ),
    "StyleGAN2 of 16,384 channels and 4096 px": (
        tiny_spec(),
        {"synthesis__channels": [MAX] * 11},
        "lacks the tensor mapping.fc0.weight",
    ),
    "64 mapping layers of 16,384": (
        tiny_stylegan1_spec(),
        {"mapping__z_dim": MAX, "mapping__w_dim": MAX, "mapping__features": [MAX] * 64},
        "lacks the tensor mapping.fc0.weight [16384, 16384]",
    ),
    "StyleGAN3 of 64 layers of 16,384 channels and 7 x 7 kernels": (
        STYLEGAN3,
        {
            "synthesis__conv_kernel": 7,
            "synthesis__fourier__channels": MAX,
            "synthesis__fourier__size": 4224,
            "synthesis__filtered": [
                *({**LAYER, **SIDES, "name": f"L{index}_4224_{MAX}"} for index in range(62)),
                {**LAYER, **SIDES, "name": f"L62_4096_{MAX}", "out_size": 4096, "padding": [-67, -67]},
                {**LAYER, **SIDES, "name": "L63_4096_3", "in_size": 4096, "out_size": 4096, "out_channels": 3}
                | {"padding": [0, 0]},
            ],
        },
        "lacks the tensor mapping.fc0.weight",
    ),
}
"""Networks of terabytes in files of a few kilobytes: within every bound, so that nothing but the weights is missing."""


@pytest.mark.parametrize("case", BOMBS)
def test_an_enormous_network_is_refused_before_anything_is_allocated(case: str, path: Path) -> None:
    spec, changes, message = BOMBS[case]
    path.write_bytes(safetensors(ours(spec, **changes)))
    assert_refused(path, message, memory=2 << 20)


@pytest.mark.parametrize(("value", "message"), [(0.0, "is 0"), (-1.0, "is -1"), (NAN, "holds NaN or infinity")])
def test_a_magnitude_that_has_no_root_is_refused(value: float, message: str, path: Path) -> None:
    write_safetensors(tiny_checkpoint(STYLEGAN3), path)
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    name = "synthesis.L0_24_6.magnitude_ema"
    begin, end = json.loads(data[8:start])[name]["data_offsets"]
    data[start + begin : start + end] = struct.pack("<f", value)
    path.write_bytes(data)
    assert_refused(path, f"the tensor {name} {message}")
