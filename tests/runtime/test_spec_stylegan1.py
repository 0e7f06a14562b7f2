"""The specification of StyleGAN: rows, noise, levels of detail, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from runtime.cost import count_cost
from runtime.errors import BundleError
from runtime.spec import GeneratorSpec, StyleGAN1Spec
from tests.runtime.spec_documents import assert_field_refused
from tests.tiny import tiny_stylegan1_spec


def drawn(spec: GeneratorSpec) -> list[str]:
    return [layer.name for layer in spec.layers]


def network_of(spec: GeneratorSpec) -> StyleGAN1Spec:
    assert isinstance(spec.synthesis, StyleGAN1Spec)
    return spec.synthesis


def test_every_layer_but_rgb_has_a_style_row_and_a_noise() -> None:
    layers = network_of(tiny_stylegan1_spec()).all_layers(3)
    assert [(layer.name, layer.style, layer.noise) for layer in layers] == [
        ("b4.conv0", 0, 0),
        ("b4.conv1", 1, 1),
        ("b4.torgb", None, None),
        ("b8.conv0", 2, 2),
        ("b8.conv1", 3, 3),
        ("b8.torgb", None, None),
        ("b16.conv0", 4, 4),
        ("b16.conv1", 5, 5),
        ("b16.torgb", None, None),
    ]
    assert tiny_stylegan1_spec().num_ws == 6


def test_noise_inputs_are_one_a_layer() -> None:
    assert [(item.buffer, item.size) for item in tiny_stylegan1_spec(channels=(6, 5)).noise_inputs] == [
        ("synthesis.b4.conv0.noise_const", 4),
        ("synthesis.b4.conv1.noise_const", 4),
        ("synthesis.b8.conv0.noise_const", 8),
        ("synthesis.b8.conv1.noise_const", 8),
    ]


def test_noise_inputs_are_one_a_block_where_its_layers_share_it() -> None:
    spec = tiny_stylegan1_spec(noise_per_block=True)
    assert [(item.buffer, item.size) for item in spec.noise_inputs] == [
        ("synthesis.b4.noise_const", 4),
        ("synthesis.b8.noise_const", 8),
        ("synthesis.b16.noise_const", 16),
    ]
    assert [layer.noise for layer in spec.layers] == [0, 0, 1, 1, 2, 2, None]


@pytest.mark.parametrize("noise_per_block", [False, True])
def test_a_network_without_noise_has_no_noise_input(noise_per_block: bool) -> None:
    spec = tiny_stylegan1_spec(use_noise=False, noise_per_block=noise_per_block)
    assert spec.noise_inputs == ()
    assert {layer.noise for layer in spec.layers} == {None}


BLOCKS = {4: ["b4.conv0", "b4.conv1"], 8: ["b8.conv0", "b8.conv1"], 16: ["b16.conv0", "b16.conv1"]}


@pytest.mark.parametrize(
    ("lod", "blocks", "rgb"),
    [
        (0, 3, ["b16.torgb"]),
        (1e-9, 3, ["b8.torgb", "b16.torgb"]),
        (0.4, 3, ["b8.torgb", "b16.torgb"]),
        (1, 2, ["b8.torgb"]),
        (1.7, 2, ["b4.torgb", "b8.torgb"]),
        (2, 1, ["b4.torgb"]),
    ],
)
def test_a_level_of_detail_draws_only_what_it_needs(lod: float, blocks: int, rgb: list[str]) -> None:
    spec = tiny_stylegan1_spec().at_lod(lod)
    sides = [4, 8, 16][:blocks]
    convolutions = [name for side in sides for name in BLOCKS[side]]
    assert sorted(drawn(spec)) == sorted(convolutions + rgb)
    assert [item.size for item in spec.noise_inputs] == [side for side in sides for _ in range(2)]
    assert network_of(spec).fade == pytest.approx(lod % 1)
    assert (spec.resolution, spec.num_ws) == (16, 6)  # what is drawn is repeated, and all rows are taken
    assert spec.at_lod(0) == tiny_stylegan1_spec()


@pytest.mark.parametrize("lod", [-0.1, 2.1, math.nan, math.inf, 1e300])
def test_a_level_of_detail_that_a_network_does_not_have_is_named(lod: float) -> None:
    with pytest.raises(BundleError, match=f"level of detail is {lod:g}, expected 0 to 2".replace("+", r"\+")):
        tiny_stylegan1_spec().at_lod(lod)


def test_a_network_with_one_rgb_layer_has_one_level_of_detail() -> None:
    spec = tiny_stylegan1_spec(rgb_everywhere=False)
    assert [name for name in drawn(spec) if "torgb" in name] == ["b16.torgb"]
    assert spec.at_lod(0) == spec
    with pytest.raises(BundleError, match="level of detail is 1, but this network makes RGB only at its last"):
        spec.at_lod(1)
    assert spec.at_resolution(16) == spec
    with pytest.raises(BundleError, match="resolution 8: this network makes RGB only at its last resolution, 16"):
        spec.at_resolution(8)


@pytest.mark.parametrize(
    ("lod", "resolution", "expected"),
    [(0, 8, 0), (0.5, 8, 0), (1, 8, 0), (1.5, 8, 0.5), (2, 8, 1), (2, 4, 0), (1.5, 16, 1.5)],
)
def test_a_lower_resolution_counts_its_level_of_detail_from_there(lod: float, resolution: int, expected: float) -> None:
    spec = tiny_stylegan1_spec(lod=lod).at_resolution(resolution)
    assert (spec.resolution, spec.synthesis.level_of_detail) == (resolution, expected)
    blocks = len(network_of(spec).channels)
    assert spec == tiny_stylegan1_spec(channels=(6, 5, 4)[:blocks], lod=expected)


@pytest.mark.parametrize("resolution", [0, 2, 12, 32])
def test_a_resolution_that_a_network_does_not_have_is_named(resolution: int) -> None:
    with pytest.raises(BundleError, match=f"resolution {resolution} is not one of this network's: 4, 8, 16"):
        tiny_stylegan1_spec().at_resolution(resolution)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("synthesis", "channels"), [], "synthesis blocks is 0, expected 1 to 11"),
        (("synthesis", "channels"), [4, 0], "channels is 0, expected 1 to 16384"),
        (("synthesis", "blur_filter"), [1.0], "blur filter taps is 1, expected 2 to 32"),
        (("synthesis", "blur_filter"), [math.nan] * 3, "blur filter is nan, expected a finite number"),
        (("synthesis", "norm_epsilon"), 0.0, "norm_epsilon is 0.0, expected a positive number"),
        (("synthesis", "rates", "conv"), -1.0, "gain of conv is -1.0, expected a positive number"),
        (("synthesis", "rates", "noise"), 0.0, "gain of noise is 0.0, expected a positive number"),
        (("synthesis", "rates", "noise"), "none", r"synthesis\.rates\.noise: found str 'none', expected float"),
        (("synthesis", "rates", "bias"), 1.0, r"synthesis\.rates: unknown field 'bias'"),
        (("synthesis", "style_offset"), math.inf, "style_offset is inf, expected a finite number"),
        (("synthesis", "use_noise"), 1, "use_noise: found int 1, expected bool"),
        (("synthesis", "lod"), 3.0, "level of detail is 3, expected 0 to 2"),
        (("synthesis", "lod"), True, "lod: found bool True, expected float"),
        (("mapping", "label"), "both", "label: found 'both', expected one of embed, concat"),
        (("truncation", "psi"), math.nan, "default psi is nan, expected a finite number"),
        (("truncation", "cutoff"), -1, "default cutoff is -1, expected 0 to 2147483648"),
        (("truncation", "cutoff"), 0.5, "cutoff: found float 0.5, expected int"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str, ...], value: Any, message: str) -> None:
    assert_field_refused(tiny_stylegan1_spec(), path, value, message)


def test_optional_fields_may_be_missing() -> None:
    """Documents that older releases wrote have neither."""
    spec = tiny_stylegan1_spec()
    data = spec.to_json()
    del data["synthesis"]["lod"], data["truncation"], data["mapping"]["label"]
    found = GeneratorSpec.from_json(data)
    assert found.synthesis == spec.synthesis
    assert dataclasses.replace(found, truncation=spec.truncation).default_cutoff == 2
    assert found.truncation.psi == 1


def test_costs_are_counted_a_layer() -> None:
    spec = tiny_stylegan1_spec(channels=(6, 5))
    costs = {item.name: (item.convolution, item.fir, item.style) for item in count_cost(spec).layers}
    assert costs == {
        "b4.conv0": (0, 0, 2 * 9 * 6),
        "b4.conv1": (9 * 6 * 6 * 4 * 4, 0, 2 * 9 * 6),
        "b8.conv0": (16 * 6 * 5 * 4 * 4, 9 * 5 * 8 * 8, 2 * 9 * 5),
        "b8.conv1": (9 * 5 * 5 * 8 * 8, 0, 2 * 9 * 5),
        "b8.torgb": (5 * 3 * 8 * 8, 0, 0),
    }
    fading = {item.name for item in count_cost(spec.at_lod(0.5)).layers}
    assert fading == {*costs, "b4.torgb"}
    assert count_cost(spec.at_lod(1)).total < count_cost(spec).total
