"""The specification: what it derives, what it refuses, and its JSON round trip."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from benchmarks.official_sizes import Network, config_f, official_spec
from runtime.cost import count_cost
from runtime.errors import BundleError
from runtime.spec import Architecture, GeneratorSpec, LayerKind, Truncation, latent_names, noise_name
from tests.runtime.spec_documents import assert_field_refused
from tests.tiny import tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec


def test_style_rows_and_noise_follow_synthesis_order() -> None:
    layers = tiny_spec().layers
    assert [(layer.name, layer.style, layer.noise) for layer in layers] == [
        ("b4.conv1", 0, 0),
        ("b4.torgb", 1, None),
        ("b8.conv0", 1, 1),
        ("b8.conv1", 2, 2),
        ("b8.torgb", 3, None),
        ("b16.conv0", 3, 3),
        ("b16.conv1", 4, 4),
        ("b16.torgb", 5, None),
    ]


@pytest.mark.parametrize("architecture", [Architecture.ORIG, Architecture.RESNET])
def test_only_skip_networks_make_rgb_at_every_resolution(architecture: Architecture) -> None:
    spec = tiny_spec(architecture=architecture)
    assert [layer.name for layer in spec.layers if layer.kind is LayerKind.TO_RGB] == ["b16.torgb"]
    assert spec.num_ws == 6


@pytest.mark.parametrize(
    "spec",
    [
        *(tiny_spec(), tiny_spec(c_dim=4, conv_clamp=None), config_f(1024)),
        *(tiny_stylegan1_spec(lod=1.5), tiny_stylegan1_spec(c_dim=4, noise_rate=1.5, use_noise=False)),
        *(tiny_stylegan3_spec(), tiny_stylegan3_spec(radial=True, c_dim=4, conv_clamp=None)),
        *(official_spec(network, 1024) for network in Network),
    ],
    ids=lambda spec: f"{spec.generation.value}-{spec.resolution}",
)
def test_json_round_trip(spec: GeneratorSpec) -> None:
    assert GeneratorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("generation",),
            "stylegan9",
            "generation: found 'stylegan9', expected one of stylegan1, stylegan2, stylegan3",
        ),
        (("img_channels",), 2, "2 image channels"),
        (("img_channels",), "3", "img_channels: found str '3', expected int"),
        (("img_channels",), True, "img_channels: found bool True, expected int"),
        (("mapping", "z_dim"), 0, "z_dim is 0"),
        (("mapping", "z_dim"), 10**9, "z_dim is 1000000000"),
        (("mapping", "features"), [], "mapping layers is 0"),
        (("mapping", "features"), [8, 8], "ends in 8 features, expected w_dim = 9"),
        (("mapping", "features"), 9, "features: found int 9, expected a list"),
        (("mapping", "lr_multiplier"), float("nan"), "lr_multiplier is nan"),
        (("synthesis", "channels"), [], "synthesis blocks is 0"),
        (("synthesis", "channels"), [4] * 40, "synthesis blocks is 40"),
        (("synthesis", "channels"), [4, -1], "channels is -1"),
        (("synthesis", "conv_clamp"), -1.0, "conv_clamp is -1.0"),
        (("synthesis", "resample_filter"), [1.0], "filter taps is 1"),
        (("synthesis", "surprise"), 1, "unknown field 'surprise'"),
        (("synthesis",), None, "found NoneType None, expected an object"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str, ...], value: Any, message: str) -> None:
    assert_field_refused(tiny_spec(), path, value, message)


def test_a_missing_field_is_named() -> None:
    data = tiny_spec().to_json()
    del data["mapping"]["w_dim"]
    with pytest.raises(BundleError, match="the field 'w_dim' is missing"):
        GeneratorSpec.from_json(data)


@pytest.mark.parametrize(("resolution", "gmac"), [(256, 45.1), (512, 59.7), (1024, 74.3)])
def test_cost_of_the_published_configuration(resolution: int, gmac: float) -> None:
    """Convolutions of config-f, counted by hand elsewhere, to the digit given."""
    assert round(count_cost(config_f(resolution)).convolutions / 1e9, 1) == gmac


def test_a_lower_resolution_is_the_front_of_the_network() -> None:
    spec = tiny_spec()
    early = spec.at_resolution(8)
    assert (early.resolution, early.num_ws) == (8, 4)
    assert dataclasses.replace(early, synthesis=spec.synthesis) == spec
    assert spec.layers[: len(early.layers)] == early.layers


def test_noise_inputs_are_one_a_convolution() -> None:
    spec = tiny_spec()
    assert [(item.buffer, item.size) for item in spec.noise_inputs] == [
        ("synthesis.b4.conv1.noise_const", 4),
        ("synthesis.b8.conv0.noise_const", 8),
        ("synthesis.b8.conv1.noise_const", 8),
        ("synthesis.b16.conv0.noise_const", 16),
        ("synthesis.b16.conv1.noise_const", 16),
    ]
    assert spec.noise_shapes == ((4, 4), (8, 8), (8, 8), (16, 16), (16, 16))
    assert tiny_spec(use_noise=False).noise_inputs == ()


def test_names_are_numbered() -> None:
    assert [noise_name(0), noise_name(17)] == ["noise_00", "noise_17"]
    assert latent_names(3) == ["z", "z_1", "z_2"]


@pytest.mark.parametrize("resolution", [0, 12, 32, -8])
def test_a_resolution_that_a_network_does_not_have_is_named(resolution: int) -> None:
    with pytest.raises(BundleError, match=f"resolution {resolution} is not one of this network's: 4, 8, 16"):
        tiny_spec().at_resolution(resolution)


@pytest.mark.parametrize("architecture", [Architecture.ORIG, Architecture.RESNET])
def test_only_skip_networks_stop_early(architecture: Architecture) -> None:
    spec = tiny_spec(architecture=architecture)
    assert spec.at_resolution(16) == spec
    with pytest.raises(BundleError, match="makes RGB only at its last resolution, 16; only 'skip' networks can stop"):
        spec.at_resolution(8)


def test_only_stylegan_has_levels_of_detail() -> None:
    spec = tiny_spec()
    assert spec.at_lod(0) == spec
    assert spec.synthesis.level_of_detail == 0
    with pytest.raises(BundleError, match=r"level of detail 0\.5: only StyleGAN \(1\) networks grow progressively"):
        spec.at_lod(0.5)


@pytest.mark.parametrize(("cutoff", "expected"), [(None, None), (0, 0), (4, 4), (6, None), (2**31, None)])
def test_a_default_cutoff_of_all_rows_is_none(cutoff: int | None, expected: int | None) -> None:
    spec = dataclasses.replace(tiny_spec(), truncation=Truncation(0.7, cutoff))
    assert spec.default_cutoff == expected


def test_another_generation_s_network_is_refused() -> None:
    with pytest.raises(BundleError, match="a stylegan2 generator has a StyleGAN1Spec"):
        dataclasses.replace(tiny_spec(), synthesis=tiny_stylegan1_spec().synthesis)


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        (Architecture.SKIP, ["b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb"]),
        (Architecture.RESNET, ["b4.conv1", "b8.conv0", "b8.conv1", "b8.torgb", "b8.skip"]),
    ],
)
def test_costs_are_counted_a_layer(architecture: Architecture, names: list[str]) -> None:
    spec = tiny_spec(architecture=architecture, channels=(6, 5))
    costs = {item.name: item for item in count_cost(spec).layers}
    assert list(costs) == names
    assert costs["b8.conv0"].convolution == 9 * 6 * 5 * 4 * 4
    assert costs["b8.conv0"].fir == 16 * 5 * 8 * 8
    assert costs["b8.conv0"].style == 9 * 6 + 6 * 5
    assert costs["b8.torgb"].convolution == 5 * 3 * 8 * 8
    assert costs["b8.torgb"].fir == (16 * 3 * 8 * 8 if architecture is Architecture.SKIP else 0)
    assert count_cost(spec).mapping == 7 * 8 + 8 * 9
