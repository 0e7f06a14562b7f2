"""The specification of StyleGAN3: its geometry, what it refuses, and what the published configurations cost."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.official_sizes import Network, official_spec
from runtime.cost import count_cost
from runtime.errors import BundleError
from runtime.spec import LayerKind, StyleGAN3Spec
from tests.runtime.spec_documents import assert_field_refused
from tests.tiny import tiny_stylegan3_spec


def test_the_input_and_every_layer_have_a_style_row() -> None:
    spec = tiny_stylegan3_spec()
    assert [(layer.name, layer.kind, layer.style, layer.noise) for layer in spec.layers] == [
        ("input", LayerKind.INPUT, 0, None),
        ("L0_24_6", LayerKind.CONV, 1, None),
        ("L1_24_6", LayerKind.CONV, 2, None),
        ("L2_24_4", LayerKind.CONV, 3, None),
        ("L3_16_4", LayerKind.CONV, 4, None),
        ("L4_16_3", LayerKind.TO_RGB, 5, None),
    ]
    assert (spec.num_ws, spec.resolution, spec.noise_inputs, spec.takes_transform) == (6, 16, (), True)


@pytest.mark.parametrize("network", [Network.STYLEGAN3_T, Network.STYLEGAN3_R])
@pytest.mark.parametrize("resolution", [256, 512, 1024])
def test_published_configurations_have_16_styles(network: Network, resolution: int) -> None:
    spec = official_spec(network, resolution)
    assert (spec.num_ws, spec.resolution) == (16, resolution)


def test_layers_of_the_published_256_px_configuration() -> None:
    """As the official files name them: number, size, channels."""
    names = [layer.name for layer in official_spec(Network.STYLEGAN3_T, 256).layers]
    assert names[:4] == ["input", "L0_36_512", "L1_36_512", "L2_36_512"]
    assert names[-3:] == ["L12_276_128", "L13_256_128", "L14_256_3"]


@pytest.mark.parametrize(
    ("network", "convolutions", "fir"),
    [(Network.STYLEGAN3_T, 231.8, 6.83), (Network.STYLEGAN3_R, 100.8, 29.84)],
)
def test_cost_of_the_published_configuration(network: Network, convolutions: float, fir: float) -> None:
    """At 256 px, counted by hand elsewhere, to the digit given."""
    cost = count_cost(official_spec(network, 256))
    assert round(cost.convolutions / 1e9, 1) == convolutions
    assert round(cost.fir / 1e9, 2) == fir


def test_costs_are_counted_a_layer() -> None:
    costs = {item.name: item for item in count_cost(tiny_stylegan3_spec()).layers}
    assert costs["input"].convolution == 6 * 6 * 24 * 24
    assert costs["L0_24_6"].convolution == 9 * 6 * 6 * 26 * 26
    # Up to 58 px along one axis, then the other, 6 taps that meet a value; down to 24 px alike, 12 taps.
    assert costs["L0_24_6"].fir == 6 * (58 * (26 + 58) * 6 + 24 * (58 + 24) * 12)
    assert costs["L0_24_6"].style == 9 * 6 + 6 * 6
    assert (costs["L4_16_3"].convolution, costs["L4_16_3"].fir, costs["L4_16_3"].style) == (4 * 3 * 16 * 16, 0, 9 * 4)
    radial = {item.name: item for item in count_cost(tiny_stylegan3_spec(radial=True)).layers}
    assert radial["L0_24_12"].fir == 12 * (58 * (24 + 58) * 6 + 24 * 24 * 12 * 12)


def test_it_draws_at_one_resolution_and_level_of_detail() -> None:
    spec = tiny_stylegan3_spec()
    assert spec.at_resolution(16) == spec
    assert spec.at_lod(0) == spec
    with pytest.raises(BundleError, match="resolution 8: this network draws at 16 only"):
        spec.at_resolution(8)
    with pytest.raises(BundleError, match=r"level of detail 1: only StyleGAN \(1\) networks grow progressively"):
        spec.at_lod(1)


def test_sizes_are_what_filters_and_padding_make() -> None:
    """For the published geometry at any resolution, a power of two or not."""
    for resolution in (16, 20, 24, 28, 32):
        for radial in (False, True):
            network = tiny_stylegan3_spec(radial, resolution).synthesis
            assert isinstance(network, StyleGAN3Spec)
            for layer in network.filtered:
                inner = layer.inner_size(network.kernel_of(layer))
                assert inner == (layer.out_size - 1) * layer.down + layer.down_taps


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fourier", "channels"), 0, "input channels is 0, expected 1 to 16384"),
        (("fourier", "size"), 5000, "input size is 5000, expected 1 to 4224"),
        (("fourier", "size"), 25, "takes 6 channels of 24 px, but the layer before it puts out 6 of 25 px"),
        (("fourier", "sampling_rate"), -1.0, "input sampling rate is -1.0, expected a positive number"),
        (("fourier", "bandwidth"), 8.0, "bandwidth is 8, expected from 0 to less than half its sampling rate of 16"),
        (("fourier", "bandwidth"), math.nan, "bandwidth is nan, expected from 0 to less than half"),
        (("filtered",), [], "synthesis layers is 0, expected 2 to 64"),
        (("filtered", 0, "name"), "input", "a layer is named 'input', expected one like 'L0_36_512'"),
        (("filtered", 1, "name"), "L0_24_6", "two layers have one name"),
        (("filtered", 0, "in_channels"), 7, "L0_24_6 takes 7 channels of 24 px, but the layer before it puts out 6"),
        (("filtered", 0, "out_size"), 4225, "L0_24_6: out_size is 4225, expected 1 to 4224"),
        (("filtered", 0, "up"), 3, "L0_24_6 makes 84 px to filter, expected 58 for 24 px"),
        (("filtered", 0, "up_taps"), 1, "L0_24_6: up is 2 without a filter, expected 1"),
        (("filtered", 0, "down_taps"), 33, "L0_24_6: down_taps is 33, expected 1 to 32"),
        (("filtered", 0, "padding"), [9], "L0_24_6: number of paddings is 1, expected 2 to 2"),
        (("filtered", 0, "padding"), [300, 8], "L0_24_6: padding is 300, expected -256 to 256"),
        (("filtered", 0, "padding"), [-52, 69], "L0_24_6 crops all of its 52 px, expected less"),
        (("filtered", 4, "padding"), [1, -1], "L4_16_3 makes RGB, but filters or pads"),
        (("filtered", 4, "out_channels"), 1, "last layer makes 1 channels, expected 3"),
        (("conv_kernel",), 8, "convolution kernel is 8, expected 1 to 7"),
        (("conv_clamp",), 0.0, "conv_clamp is 0.0, expected a positive number"),
        (("output_scale",), math.nan, "output_scale is nan, expected a finite number"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    assert_field_refused(tiny_stylegan3_spec(), ("synthesis", *path), value, message)
