"""The specification: what it derives, what it refuses, and its JSON round trip."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from benchmarks.official_sizes import config_f
from runtime.cost import count_cost
from runtime.errors import BundleError
from runtime.spec import Architecture, GeneratorSpec, LayerKind
from tests.tiny import tiny_spec


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


@pytest.mark.parametrize("spec", [tiny_spec(), tiny_spec(c_dim=4, conv_clamp=None), config_f(1024)])
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
    data = tiny_spec().to_json()
    inner = data
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(BundleError, match=message):
        GeneratorSpec.from_json(data)


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
