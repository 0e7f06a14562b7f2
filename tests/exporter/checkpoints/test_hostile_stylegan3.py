"""StyleGAN3 snapshots whose layers have the wrong names, places or input: each refusal says which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter.checkpoints import load_checkpoint
from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.numpy_pickles import array_of, claimed_array, dtype_of
from tests.exporter.checkpoints.pickle_writing import nested_lists
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import Call, Name, Raw, module, state, tensor_of, to_pickle
from tests.exporter.checkpoints.spoiling import FORGED, Snapshot, Spoil, attribute, tensor, without
from tests.exporter.checkpoints.stylegan3_snapshots import NAMES, small_stylegan3

L0, L1, L4 = (f"synthesis.{NAMES[index]}" for index in (0, 1, 4))
TOO_DEEP, TOO_LARGE = Raw(nested_lists(2_000)), Raw(nested_lists(40, width=2))
HUGE = 10**6000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def test_the_unspoilt_snapshot_loads(path: Path) -> None:
    path.write_bytes(to_pickle(small_stylegan3()))
    assert [layer.name for layer in load_checkpoint(path).spec.layers[1:]] == list(NAMES)


def modules_in_modules(item: Snapshot) -> None:
    part = module(item, L0)
    for _ in range(20):
        groups = {"_parameters": {}, "_buffers": {}, "_modules": {"part": part}}
        part = Call(part.function, ({**part.record, "class_name": "Nest", "state": groups},))
    state(item)["_modules"]["extra"] = part


def renamed(name: str) -> Spoil:
    """Call the first layer so, everywhere."""

    def spoil(item: Snapshot) -> None:
        synthesis = state(item, "synthesis")
        modules = synthesis["_modules"]
        modules[name] = modules.pop(NAMES[0])
        synthesis["layer_names"] = [name, *NAMES[1:]]

    return spoil


def one_layer_twice(item: Snapshot) -> None:
    synthesis = state(item, "synthesis")
    synthesis["layer_names"] = [NAMES[0], *NAMES]
    state(item).update(num_ws=7)


def to_rgb_in_the_middle(item: Snapshot) -> None:
    state(item, L1)["is_torgb"] = True


def no_to_rgb(item: Snapshot) -> None:
    state(item, L4)["is_torgb"] = False


NAMED: dict[str, tuple[Spoil, str]] = {
    "no names": (attribute("synthesis", "layer_names", []), "has 0 layers, expected the names of 2 to 64"),
    "one name": (attribute("synthesis", "layer_names", ["L0_24_6"]), "has 1 layers, expected the names of 2 to 64"),
    "names without end": (attribute("synthesis", "layer_names", ["L0_24_6"] * 10_000), "has 10000 layers, expected"),
    "names that are numbers": (attribute("synthesis", "layer_names", [0, 1, 2]), "has 3 layers, expected the names of"),
    "a name too deep to print": (attribute("synthesis", "layer_names", [TOO_DEEP, "L0"]), "has 2 layers, expected"),
    "names in a text": (attribute("synthesis", "layer_names", "L0_24_6"), "layer_names = 'L0_24_6', which is not und"),
    "names that are None": (attribute("synthesis", "layer_names", None), "layer_names = None, which is not understood"),
    "a name that nobody has": (
        attribute("synthesis", "layer_names", ["L0_24_6", "L9"]),
        "the module synthesis (SynthesisNetwork) has no part 'L9'",
    ),
    "a name that would forge a line": (
        attribute("synthesis", "layer_names", [FORGED, "L9"]),
        r"has no part 'a\nError: \x1b[2J'",
    ),
    "an endless name": (attribute("synthesis", "layer_names", ["L" * 10**6, "L9"]), "has no part 'LLL"),
    "one layer twice": (one_layer_twice, "two layers have one name, expected a name of its own for each"),
    "a layer called as a method": (renamed("forward"), "a layer is named 'forward', expected one like 'L0_36_512'"),
    "a layer with a dot": (renamed("L0.24_6"), "a layer is named 'L0.24_6', expected one like"),
    "a layer without a name": (renamed(""), "a layer is named '', expected one like"),
    "a layer called by other digits": (renamed("L٣_24_6"), "a layer is named 'L٣_24_6', expected one like"),
    "a layer whose name ends a line": (renamed("L0_24_6\n"), r"a layer is named 'L0_24_6\n', expected one like"),
    "a layer whose name would forge a line": (renamed(FORGED), r"a layer is named 'a\nError: \x1b[2J', expected one"),
    "a layer with an endless name": (renamed("L" * 10**6), "a layer is named 'LLL"),
    "a layer left out": (without("synthesis", NAMES[2], "_modules"), "has no part 'L2_24_4'"),
    "an input left out": (without("synthesis", "input", "_modules"), "has no part 'input'"),
    "a layer that is text": (
        lambda item: state(item, "synthesis")["_modules"].update({NAMES[2]: "layer"}),
        "synthesis.L2_24_4 is not a module",
    ),
    "one module for two layers": (
        lambda item: state(item, "synthesis")["_modules"].update({NAMES[1]: module(item, L0)}),
        "one module stands in several places",
    ),
    "modules nested without end": (modules_in_modules, "the network's modules nest over 16 deep"),
    "toRGB in the middle": (to_rgb_in_the_middle, f"the module {L1} has the wrong place: the last layer makes RGB"),
    "no toRGB": (no_to_rgb, f"the module {L4} has the wrong place: the last layer makes RGB, and no other"),
    "toRGB at times": (attribute(L4, "is_torgb", 1), "is_torgb = 1, which is not understood"),
}

FOURIER: dict[str, tuple[Spoil, str]] = {
    "no channels": (without("synthesis.input", "channels"), "channels = None, which is not understood"),
    "channels of 0": (attribute("synthesis.input", "channels", 0), "input channels is 0, expected 1 to 16384"),
    "channels beyond every bound": (attribute("synthesis.input", "channels", HUGE), "input channels is a huge number"),
    "fractional channels": (attribute("synthesis.input", "channels", 6.0), "channels = 6.0, which is not understood"),
    "other channels": (attribute("synthesis.input", "channels", 7), "puts out 7 of 24 px"),
    "a size of 0": (attribute("synthesis.input", "size", [0, 0]), "input size is 0, expected 1 to 4224"),
    "a size beyond every bound": (attribute("synthesis.input", "size", [10**6] * 2), "input size is 1000000, expected"),
    "a size of 6000 digits": (attribute("synthesis.input", "size", [HUGE] * 2), "size = a list, expected a few whole"),
    "another size": (attribute("synthesis.input", "size", [32, 32]), "puts out 6 of 32 px"),
    "a size that is not square": (
        attribute("synthesis.input", "size", array_of(np.array([24, 36]))),
        "size = [24, 36], expected a square",
    ),
    "a size of three": (attribute("synthesis.input", "size", [24, 24, 24]), "size = [24, 24, 24], expected a square"),
    "a size of none": (attribute("synthesis.input", "size", []), "size = [], expected a square"),
    "a size of a million": (attribute("synthesis.input", "size", [24] * 10**5), "size = a list, expected a few whole"),
    "a size of fractions": (attribute("synthesis.input", "size", array_of(np.array([24.0, 24.0]))), "a few whole num"),
    "a size of truth values": (attribute("synthesis.input", "size", [True, True]), "size = a list, expected a few"),
    "a size too large to print": (attribute("synthesis.input", "size", TOO_LARGE), "size = a list, expected a few"),
    "a size of a billion numbers": (
        attribute("synthesis.input", "size", claimed_array((10**9,), bytes(8), dtype_of("i8"))),
        "has 8 bytes",
    ),
    "a sampling rate of 0": (attribute("synthesis.input", "sampling_rate", 0), "sampling rate is 0.0, expected a posi"),
    "a negative sampling rate": (
        attribute("synthesis.input", "sampling_rate", -16),
        "sampling rate is -16.0, expected",
    ),
    "a sampling rate of NaN": (attribute("synthesis.input", "sampling_rate", float("nan")), "sampling rate is nan"),
    "a sampling rate of infinity": (
        attribute("synthesis.input", "sampling_rate", float("inf")),
        "sampling_rate = inf, expected a number",
    ),
    "a sampling rate of text": (attribute("synthesis.input", "sampling_rate", "16"), "sampling_rate = '16', expected"),
    "no bandwidth": (without("synthesis.input", "bandwidth"), "bandwidth = None, expected a number"),
    "a bandwidth of half the rate": (
        attribute("synthesis.input", "bandwidth", 8),
        "bandwidth is 8, expected from 0 to less than half its sampling rate of 16",
    ),
    "a bandwidth beyond the rate": (
        attribute("synthesis.input", "bandwidth", 99.5),
        "bandwidth is 99.5, expected from",
    ),
    "a negative bandwidth": (attribute("synthesis.input", "bandwidth", -1), "bandwidth is -1, expected from 0"),
    "a bandwidth of NaN": (
        attribute("synthesis.input", "bandwidth", float("nan")),
        "bandwidth is nan, expected from 0",
    ),
    "a transform of two rows": (tensor("synthesis.input.transform", np.zeros((2, 3))), "has shape [2, 3], expected [3"),
    "a transform of NaN": (tensor("synthesis.input.transform", np.full((3, 3), np.nan)), "transform holds NaN or inf"),
    "frequencies of one axis": (tensor("synthesis.input.freqs", np.zeros((6, 1))), "has shape [6, 1], expected [6, 2]"),
    "no phases": (without("synthesis.input", "phases", "_buffers"), "lacks the tensor synthesis.input.phases [6]"),
    "an input without an affine layer": (
        without("synthesis.input", "affine", "_modules"),
        "lacks the tensor synthesis.input.affine.weight [4, 9]",
    ),
}

CASES = {**NAMED, **FOURIER}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spoil, message = CASES[case]
    item = small_stylegan3()
    spoil(item)
    path.write_bytes(to_pickle(item))
    assert_refused(path, message)


def test_code_in_any_attribute_is_named_and_not_run(path: Path) -> None:
    item = small_stylegan3()
    state(item, L0)["padding"] = Call(Name("posix", "system"), (f"touch {path}.ran",))
    path.write_bytes(to_pickle(item))
    assert_refused(path, "refers to posix.system", UnsafeCheckpointError)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_source_that_a_layer_embeds_is_never_run(path: Path) -> None:
    item = small_stylegan3()
    for name in ("", "synthesis", L0):
        module(item, name).record["module_src"] = f"import os; os.system('touch {path}.ran')"
    path.write_bytes(to_pickle(item))
    assert load_checkpoint(path).spec.resolution == 16
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_tensors_that_share_their_bytes_are_not_multiplied(path: Path) -> None:
    """1 MB in the file, 60 MB in memory if each layer had its own copy."""
    width, layers = 512, 60
    item = small_stylegan3()
    weight, bias = tensor_of(np.zeros((width, width), "f4")), tensor_of(np.zeros(width, "f4"))
    record = {"type": "class", "version": 6, "module_src": "", "class_name": "FullyConnectedLayer"}
    mapping = state(item, "mapping")
    for index in range(layers):
        attributes = {"activation": "lrelu", "bias_gain": 0.01, "_buffers": {}, "_modules": {}}
        attributes["_parameters"] = {"weight": weight, "bias": bias}
        mapping["_modules"][f"fc{index}"] = Call(module(item).function, ({**record, "state": attributes},))
    mapping.update(num_layers=layers)
    mapping["_buffers"]["w_avg"] = bias
    state(item).update(z_dim=width, w_dim=width)
    for name in ("input", *NAMES):
        affine = state(item, f"synthesis.{name}.affine")["_parameters"]
        rows = 4 if name == "input" else state(item, f"synthesis.{name}")["in_channels"]
        affine["weight"] = tensor_of(np.zeros((rows, width), "f4"))
    path.write_bytes(to_pickle(item))
    assert_refused(path, "they share them, expected its own for each", memory=8 << 20)
