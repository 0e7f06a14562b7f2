"""StyleGAN3 snapshots whose layers lie about their geometry or filters: each refusal names the layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exporter.checkpoints.numpy_pickles import array_of
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import set_tensor, state, to_pickle
from tests.exporter.checkpoints.spoiling import Snapshot, Spoil, attribute, tensor, without
from tests.exporter.checkpoints.stylegan3_snapshots import NAMES, small_stylegan3

L0, L1, L4 = (f"synthesis.{NAMES[index]}" for index in (0, 1, 4))
HUGE = 10**6000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def attribute_everywhere(name: str, value: Any) -> Spoil:
    """Set an attribute of all layers, which must agree."""
    return lambda item: [state(item, f"synthesis.{layer}").update({name: value}) for layer in NAMES]


def no_filters(item: Snapshot) -> None:
    state(item, L0)["_buffers"].update(up_filter=None, down_filter=None)
    state(item, L0).update(padding=[-1, -1] * 2)


def half_radial(item: Snapshot) -> None:
    set_tensor(item, f"{L0}.down_filter", np.zeros((12, 6), "f4"))


LAYERS: dict[str, tuple[Spoil, str]] = {
    "channels that do not follow": (
        attribute(L1, "in_channels", 7),
        "L1_24_6 takes 7 channels of 24 px, but the layer",
    ),
    "a size that does not follow": (
        attribute(L1, "in_size", array_of(np.array([36, 36]))),
        "L1_24_6 takes 6 channels of 36 px, but the layer before it puts out 6 of 24 px",
    ),
    "a size that is not made": (
        attribute(L0, "out_size", [25, 25]),
        "L0_24_6 makes 58 px to filter, expected 60 for 25 px",
    ),
    "a size that is not square": (attribute(L0, "out_size", [24, 36]), "out_size = [24, 36], expected a square"),
    "a size of 0": (attribute(L0, "out_size", [0, 0]), "L0_24_6: out_size is 0, expected 1 to 4224"),
    "a negative size": (attribute(L0, "in_size", [-24, -24]), "L0_24_6: in_size is -24, expected 1 to 4224"),
    "channels of 0": (attribute(L0, "out_channels", 0), "L0_24_6: out_channels is 0, expected 1 to 16384"),
    "channels beyond every bound": (attribute(L0, "out_channels", 10**9), "L0_24_6: out_channels is 1000000000, exp"),
    "channels of text": (attribute(L0, "in_channels", "6"), "in_channels = '6', which is not understood"),
    "an up-sampling by 0": (attribute(L0, "up_factor", 0), "L0_24_6: up is 0, expected 1 to 8"),
    "a negative up-sampling": (attribute(L0, "up_factor", -2), "L0_24_6: up is -2, expected 1 to 8"),
    "an up-sampling by a billion": (attribute(L0, "up_factor", 10**9), "L0_24_6: up is 1000000000, expected 1 to 8"),
    "a fractional up-sampling": (attribute(L0, "up_factor", 2.0), "up_factor = 2.0, which is not understood"),
    "another up-sampling": (attribute(L0, "up_factor", 4), "L0_24_6 makes 110 px to filter, expected 58 for 24"),
    "a down-sampling by 0": (attribute(L0, "down_factor", 0), "L0_24_6: down is 0, expected 1 to 8"),
    "a down-sampling of 6000 digits": (attribute(L0, "down_factor", HUGE), "L0_24_6: down is a huge number, expected"),
    "a padding of two": (attribute(L0, "padding", [9, 8]), "padding = [9, 8], expected the same for x and y"),
    "a padding that differs": (attribute(L0, "padding", [9, 8, 8, 9]), "padding = [9, 8, 8, 9], expected the same"),
    "another padding": (attribute(L0, "padding", [9, 9] * 2), "L0_24_6 makes 59 px to filter, expected 58 for 24 px"),
    "a padding beyond every bound": (attribute(L0, "padding", [10**9, 8] * 2), "padding is 1000000000, expected -256"),
    "a padding of 6000 digits": (
        attribute(L0, "padding", [HUGE] * 4),
        "padding = a list, expected a few whole numbers",
    ),
    "a padding that crops all": (attribute(L0, "padding", [-200, 217] * 2), "L0_24_6 crops all of its 52 px, expected"),
    "a padding of fractions": (attribute(L0, "padding", [9.0, 8.0] * 2), "padding = a list, expected a few whole num"),
    "a padding of text": (attribute(L0, "padding", "9889"), "padding = '9889', expected a few whole numbers"),
    "no padding": (without(L0, "padding"), "padding = None, expected a few whole numbers"),
    "two kernels": (attribute(L1, "conv_kernel", 1), "disagree on conv_kernel: 3 and 1"),
    "a kernel of 0": (attribute_everywhere("conv_kernel", 0), "convolution kernel is 0, expected 1 to 7"),
    "a kernel beyond every bound": (attribute_everywhere("conv_kernel", HUGE), "convolution kernel is a huge number"),
    "another kernel": (attribute_everywhere("conv_kernel", 1), "L0_24_6 makes 54 px to filter, expected 58"),
    "two clamps": (attribute(L1, "conv_clamp", 1), "disagree on conv_clamp: 256.0 and 1.0"),
    "a clamp of 0": (attribute_everywhere("conv_clamp", 0), "conv_clamp is 0.0, expected a positive number"),
    "a clamp of NaN": (attribute_everywhere("conv_clamp", float("nan")), "disagree on conv_clamp: nan"),
    "an output scale of NaN": (attribute("synthesis", "output_scale", float("nan")), "output_scale is nan, expected a"),
    "no output scale": (without("synthesis", "output_scale"), "output_scale = None, expected a number"),
    "another resolution": (attribute("", "img_resolution", 32), "img_resolution = 32, but its layers say 16"),
    "other image channels": (attribute("", "img_channels", 1), "last layer makes 3 channels, expected 1"),
    "another number of styles": (attribute("", "num_ws", 16), "num_ws = 16, but its layers say 6"),
    "a magnitude of 0": (
        tensor(f"{L0}.magnitude_ema", np.zeros(())),
        "magnitude_ema is 0, expected a magnitude above 0",
    ),
    "a negative magnitude": (tensor(f"{L0}.magnitude_ema", np.array(-1)), "magnitude_ema is -1, expected a magnitude"),
    "a magnitude of NaN": (tensor(f"{L0}.magnitude_ema", np.array(np.nan)), "magnitude_ema holds NaN or infinity"),
    "a magnitude of infinity": (tensor(f"{L0}.magnitude_ema", np.array(np.inf)), "magnitude_ema holds NaN or infinity"),
    "a magnitude for each channel": (
        tensor(f"{L0}.magnitude_ema", np.ones(6)),
        "magnitude_ema has shape [6], expected",
    ),
    "no magnitude": (without(L0, "magnitude_ema", "_buffers"), f"lacks the tensor {L0}.magnitude_ema []"),
}

FILTERS: dict[str, tuple[Spoil, str]] = {
    "a filter of two dimensions": (
        tensor(f"{L0}.up_filter", np.zeros((12, 12))),
        f"the module {L0} has a filter up_filter of shape [12, 12], expected taps",
    ),
    "a filter of no dimension": (tensor(f"{L0}.up_filter", np.zeros(())), "up_filter of shape [], expected taps"),
    "a filter for down-sampling of no dimension": (
        tensor(f"{L0}.down_filter", np.zeros(())),
        "down_filter of shape [], expected taps or a square",
    ),
    "a filter of three dimensions": (
        tensor(f"{L0}.down_filter", np.zeros((3, 3, 3))),
        "down_filter of shape [3, 3, 3], expected taps or a square",
    ),
    "a filter that is not square": (half_radial, "down_filter of shape [12, 6], expected taps or a square"),
    "an empty filter": (tensor(f"{L0}.up_filter", np.zeros(0)), "L0_24_6: up_taps is 0, expected 1 to 32"),
    "a filter of a thousand taps": (tensor(f"{L0}.up_filter", np.zeros(1000)), "up_taps is 1000, expected 1 to 32"),
    "a filter of other taps": (tensor(f"{L0}.up_filter", np.zeros(11)), "L0_24_6 makes 59 px to filter, expected 58"),
    "a filter of one tap": (tensor(f"{L0}.up_filter", np.ones(1)), "L0_24_6: up is 2 without a filter, expected 1"),
    "a radial filter of one tap": (tensor(f"{L0}.down_filter", np.ones((1, 1))), "L0_24_6: down is 2 without a filter"),
    "a radial filter of one tap without down-sampling": (
        lambda item: (tensor(f"{L0}.down_filter", np.ones((1, 1)))(item), attribute(L0, "down_factor", 1)(item)),
        "L0_24_6: the filter for down-sampling is radial, but has 1 tap: expected more",
    ),
    "no filters": (no_filters, "L0_24_6: up is 2 without a filter, expected 1"),
    "a filter of NaN": (tensor(f"{L0}.up_filter", np.full(12, np.nan)), f"{L0}.up_filter holds NaN or infinity"),
    "a filter in toRGB": (
        lambda item: (tensor(f"{L4}.up_filter", np.ones(3))(item), attribute(L4, "padding", [1, 1] * 2)(item)),
        "L4_16_3 makes RGB, but filters or pads: expected a convolution alone",
    ),
    "a crop in toRGB": (
        attribute(L4, "padding", [1, -1] * 2),
        "L4_16_3 makes RGB, but filters or pads: expected a convolution alone",
    ),
}

CASES = {**{f"layer: {case}": spoilt for case, spoilt in LAYERS.items()}, **FILTERS}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spoil, message = CASES[case]
    item = small_stylegan3()
    spoil(item)
    path.write_bytes(to_pickle(item))
    assert_refused(path, message)
