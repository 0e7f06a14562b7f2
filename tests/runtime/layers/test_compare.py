"""What is measured of one layer."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.layers.compare import LayerTolerance, allowed, border_of, compare_layer
from runtime.layers.probes import cut_probes, join_probes, probe_count, probe_pixels, split_probes
from runtime.layers.reference import whole_border, whole_layer
from runtime.spec import LayerOutput
from tests.tiny import tiny_spec

LAYER = LayerOutput("b16.conv0", channels=5, size=16)
STRICT = LayerTolerance(rms=0.1, channel=0.2, largest=1.0)


def _reference() -> np.ndarray:
    values = np.random.RandomState(0).choice([-2.0, 2.0], (3, 5, 16, 16))  # a root mean square of 2
    return whole_layer(LAYER, values.astype(np.float32))


def test_errors_are_relative_to_the_root_mean_square() -> None:
    reference = _reference()
    measured = reference.copy()
    measured[:, 3] += 0.2
    figures = compare_layer(LAYER, reference, measured, whole_border(LAYER), STRICT)
    assert figures.channel == 3
    assert figures.channel_rms == pytest.approx(0.1)
    assert figures.rms == pytest.approx(0.1 / 5**0.5)
    assert figures.largest == pytest.approx(0.1)
    assert figures.channel_share == pytest.approx(1)
    assert figures.border == pytest.approx(1)
    assert figures.reference_max == 2
    assert figures.passed


@pytest.mark.parametrize(
    ("offset", "told"),
    [
        (0.3, "error 1.5e-01 of the root mean square, allowed 1e-01"),
        (np.nan, "NaN or infinity in the output"),
        (np.inf, "NaN or infinity in the output"),
    ],
)
def test_what_is_off_is_told(offset: float, told: str) -> None:
    reference = _reference()
    figures = compare_layer(LAYER, reference, reference + np.float32(offset), whole_border(LAYER), STRICT)
    assert not figures.passed
    assert figures.failures()[0] == told


def test_an_error_on_the_border_is_seen_there() -> None:
    reference, border = _reference(), whole_border(LAYER)
    measured = reference + border * np.float32(0.1)
    figures = compare_layer(LAYER, reference, measured, border, STRICT)
    assert figures.border is not None
    assert figures.border > 1e6
    assert border.sum() == 4 * 15


def test_equal_arrays_have_no_error() -> None:
    figures = compare_layer(LAYER, _reference(), _reference(), whole_border(LAYER), STRICT)
    assert (figures.rms, figures.channel_rms, figures.largest, figures.border) == (0, 0, 0, 1)
    assert figures.passed


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match=r"b16\.conv0: shapes .* can't be compared"):
        compare_layer(LAYER, _reference(), _reference()[:, :4], whole_border(LAYER), STRICT)


def test_a_generation_that_rounds_more_is_allowed_more_in_float32_alone() -> None:
    assert allowed("fp32", 4.0).rms == pytest.approx(4 * allowed("fp32", 1.0).rms)
    assert allowed("fp16", 4.0) == allowed("fp16", 1.0)


def test_probes_are_a_few_pixels_of_every_channel() -> None:
    spec = tiny_spec()
    random = np.random.RandomState(0)
    layers = {}
    for item in spec.outputs:
        layers[item.name] = random.randn(2, item.channels, *([item.size] * 2 if item.size else ())).astype(np.float32)
    joined = join_probes(spec, {item.name: cut_probes(item, layers[item.name]) for item in spec.outputs})
    assert joined.shape == (2, probe_count(spec))
    for item in spec.outputs:
        pixels = probe_pixels(item)
        kept = split_probes(spec, joined)[item.name]
        assert kept.shape == (2, item.channels, len(pixels))
        y, x = pixels.T
        np.testing.assert_array_equal(kept, layers[item.name][..., y, x] if item.size else layers[item.name][..., None])


@pytest.mark.parametrize(("size", "channels"), [(4, 512), (16, 3), (1024, 1024), (1044, 91)])
def test_probes_are_on_the_border_and_inside(size: int, channels: int) -> None:
    pixels = probe_pixels(LayerOutput("any", channels, size))
    border = border_of(pixels, size)
    assert 2 <= len(pixels) <= 8
    assert border.any()
    assert not border.all()
