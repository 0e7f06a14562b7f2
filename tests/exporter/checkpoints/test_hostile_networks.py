"""NVIDIA snapshots whose networks make no sense: each refusal names the module and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.checkpoints import load_checkpoint
from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.pickle_writing import nested_lists
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import (
    Call,
    Name,
    Raw,
    module,
    set_tensor,
    small_snapshot,
    state,
    tensor_of,
    to_pickle,
)
from tests.exporter.checkpoints.spoiling import FORGED, Snapshot, Spoil, attribute, tensor, without


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def test_the_unspoilt_snapshot_loads(path: Path) -> None:
    path.write_bytes(to_pickle(small_snapshot()))
    assert load_checkpoint(path).spec.resolution == 8


def attribute_everywhere(name: str, value: Any) -> Spoil:
    """Set an attribute of all convolutions, which must agree."""

    def spoil(snapshot: Snapshot) -> None:
        for layer in ("b4.conv1", "b8.conv0", "b8.conv1"):
            state(snapshot, f"synthesis.{layer}")[name] = value

    return spoil


def filters(array: np.ndarray) -> Spoil:
    """Replace every resampling filter."""

    def spoil(snapshot: Snapshot) -> None:
        for layer in ("b4", "b4.conv1", "b8", "b8.conv0", "b8.conv1"):
            set_tensor(snapshot, f"synthesis.{layer}.resample_filter", array.astype("f4"))

    return spoil


def everything(key: str, value: Any) -> Spoil:
    """A snapshot that holds this alone."""

    def spoil(snapshot: Snapshot) -> None:
        snapshot.clear()
        snapshot[key] = value

    return spoil


def a_module_inside_itself(snapshot: Snapshot) -> None:
    state(snapshot)["_modules"]["mapping"] = snapshot["G_ema"]


def modules_in_modules(snapshot: Snapshot) -> None:
    """12 levels of 8 parts, one object a level: 70 billion modules to walk in a file of a few kilobytes."""
    part = module(snapshot, "mapping.fc0")
    for _ in range(12):
        record = {"type": "class", "version": 6, "module_src": "", "class_name": "Nest"}
        groups = {"_parameters": {}, "_buffers": {}, "_modules": dict.fromkeys("abcdefgh", part)}
        part = Call(module(snapshot).function, ({**record, "state": groups},))
    state(snapshot)["_modules"]["extra"] = part


TOO_DEEP = Raw(nested_lists(20_000))
TOO_LARGE = Raw(nested_lists(40, width=2))
"""To print, that is: both are a few bytes in a file."""


RECORDS: dict[str, tuple[Spoil, str]] = {
    "a discriminator only": (
        lambda snapshot: everything("D", snapshot["G_ema"])(snapshot),
        "no generator: it holds 'D'",
    ),
    "a generator that is None": (everything("G_ema", None), "no generator: it holds 'G_ema'"),
    "a generator that is a dictionary": (everything("G_ema", {"z_dim": 512}), "no generator"),
    "a generator that is a function": (everything("G_ema", Name("torch._utils", "_rebuild_parameter")), "no generator"),
    "nothing": (lambda snapshot: snapshot.clear(), "no generator: it holds nothing"),
    "keys that would forge a line": (everything("D\nError: \x1b[2J", None), "no generator"),
    "a huge number for a key": (lambda snapshot: everything(10**6000, None)(snapshot), "no generator"),  # type: ignore[arg-type]
    "a module inside itself": (a_module_inside_itself, "one module stands in several places"),
    "modules too many to walk": (modules_in_modules, "one module stands in several places"),
    "a record that is a list": (lambda s: setattr(module(s), "arguments", ([],)), "a module has no record"),
    "a record without state": (lambda s: module(s, "mapping").record.pop("state"), "mapping is not a module"),
    "another persistence version": (
        lambda s: module(s, "synthesis").record.update(version=7),
        "the module record has version 7, expected 6",
    ),
    "no persistence version": (lambda s: module(s).record.pop("version"), "has version None, expected 6"),
    "a version too deep to print": (lambda s: module(s).record.update(version=TOO_DEEP), "expected 6"),
    "a part that is text": (attribute("", "_modules", {"mapping": "text"}), "mapping is not a module"),
    "no parts": (without("", "_modules"), "a module has no _modules"),
    "parameters that are a list": (attribute("mapping.fc0", "_parameters", []), "a module has no _parameters"),
    "no mapping network": (without("", "mapping", "_modules"), "has no part 'mapping'"),
    "no synthesis network": (without("", "synthesis", "_modules"), "has no part 'synthesis'"),
    "no last block": (without("synthesis", "b8", "_modules"), "has no part 'b8'"),
    "a class name that would forge a line": (
        lambda s: (module(s).record.update(class_name=FORGED), without("", "mapping", "_modules")(s)),
        "has no part 'mapping'",
    ),
    "a class name too large to print": (
        lambda s: (module(s).record.update(class_name=TOO_LARGE), without("", "mapping", "_modules")(s)),
        "has no part 'mapping'",
    ),
    "a StyleGAN3 of one layer": (attribute("synthesis", "layer_names", ["L0_36_512"]), "has 1 layers, expected"),
    "a StyleGAN3 without its layers": (attribute("synthesis", "layer_names", ["L0", "L1"]), "has no part 'L0'"),
    "an unknown network": (without("synthesis", "block_resolutions"), "a generator of an unknown kind"),
}


ATTRIBUTES: dict[str, tuple[Spoil, str]] = {
    "no z_dim": (without("", "z_dim"), "z_dim = None, which is not understood"),
    "a z_dim of text": (attribute("", "z_dim", "128"), "z_dim = '128', which is not understood"),
    "a z_dim of 0": (attribute("", "z_dim", 0), "z_dim is 0, expected 1 to 16384"),
    "a negative c_dim": (attribute("", "c_dim", -1), "c_dim is -1"),
    "a truth value for c_dim": (attribute("", "c_dim", False), "c_dim = False, which is not understood"),
    "a z_dim of 6000 digits": (attribute("", "z_dim", 10**6000), "z_dim"),
    "a z_dim too deep to print": (attribute("", "z_dim", TOO_DEEP), "z_dim"),
    "a z_dim too large to print": (attribute("", "z_dim", TOO_LARGE), "z_dim"),
    "labels without an embedding": (attribute("", "c_dim", 3), "embed_features is 0"),
    "two image channels": (attribute("", "img_channels", 2), "makes 2 image channels, expected 1, 3 or 4"),
    "image channels of 6000 digits": (attribute("", "img_channels", 10**6000), "image channels"),
    "another resolution": (attribute("", "img_resolution", 16), "img_resolution = 16, but its layers say 8"),
    "another number of styles": (attribute("", "num_ws", 14), "num_ws = 14, but its layers say 4"),
    "no mapping layer": (attribute("mapping", "num_layers", 0), "the mapping network has 0 layers"),
    "fewer than no mapping layers": (attribute("mapping", "num_layers", -1), "the mapping network has -1 layers"),
    "more mapping layers than there are": (attribute("mapping", "num_layers", 10**9), "layers, expected 1 to 64"),
    "a block missing in the row": (
        attribute("synthesis", "block_resolutions", [4, 16]),
        "blocks at 4, 16, expected 4, 8",
    ),
    "no block": (attribute("synthesis", "block_resolutions", []), "blocks at no resolution, expected 4, 8, 16"),
    "blocks without end": (attribute("synthesis", "block_resolutions", [4] * 100_000), "expected 4, 8, 16"),
    "a block beyond every bound": (attribute("synthesis", "block_resolutions", [4, 10**6000]), "expected 4, 8, 16"),
    "another activation": (attribute("synthesis.b8.conv0", "activation", "swish"), "activation 'swish'; only 'lrelu'"),
    "another activation of the mapping": (
        attribute("mapping.fc3", "activation", "relu"),
        "mapping.fc3 uses the activation",
    ),
    "another architecture": (
        lambda s: [state(s, f"synthesis.b{side}").update(architecture="dense") for side in (4, 8)],
        "architecture 'dense', expected skip, orig or resnet",
    ),
    "two architectures": (attribute("synthesis.b8", "architecture", "resnet"), "disagree on architecture"),
    "two clamps": (attribute("synthesis.b8.conv0", "conv_clamp", 1.0), "disagree on conv_clamp"),
    "a clamp of 0": (attribute_everywhere("conv_clamp", 0), "conv_clamp is 0.0, expected a positive number"),
    "a clamp that is NaN": (attribute_everywhere("conv_clamp", float("nan")), "conv_clamp"),
    "a clamp of text": (attribute_everywhere("conv_clamp", "none"), "conv_clamp"),
    "a clamp that is a list": (attribute_everywhere("conv_clamp", [256]), "conv_clamp"),
    "a clamp of 400 digits": (attribute_everywhere("conv_clamp", 10**400), "conv_clamp"),
    "no noise switch": (without("synthesis.b8.conv0", "use_noise"), "use_noise = None, which is not understood"),
    "a multiplier of 400 digits": (attribute("mapping.fc0", "bias_gain", 10**400), "bias_gain"),
    "two multipliers": (attribute("mapping.fc0", "bias_gain", 1), "disagree on bias_gain"),
}


TENSORS: dict[str, tuple[Spoil, str]] = {
    "NaN": (tensor("mapping.fc0.bias", np.full(4, np.nan, "f4")), "mapping.fc0.bias holds NaN or infinity"),
    "infinity": (tensor("synthesis.b4.const", np.full((4, 4, 4), np.inf, "f4")), "b4.const holds NaN or infinity"),
    "numbers beyond float32": (tensor("mapping.fc0.bias", np.full(4, 1e300)), "mapping.fc0.bias holds NaN or infinity"),
    "a number beyond float32": (
        lambda s: state(s, "synthesis.b8.conv0")["_parameters"].update(noise_strength=1e300),
        "b8.conv0.noise_strength holds NaN or infinity",
    ),
    "another shape": (
        tensor("synthesis.b8.conv0.bias", np.zeros(3)),
        "the tensor synthesis.b8.conv0.bias has shape [3], expected [4]",
    ),
    "another kernel": (tensor("synthesis.b8.conv0.weight", np.zeros((4, 4, 5, 5))), "shape [4, 4, 5, 5], expected"),
    "a weight of one dimension": (tensor("mapping.fc0.weight", np.zeros(4)), "no 2-dimensional tensor 'weight'"),
    "an empty weight": (tensor("mapping.fc7.weight", np.zeros((0, 4))), "mapping features is 0"),
    "no bias": (without("mapping.fc0", "bias", "_parameters"), "lacks the tensor mapping.fc0.bias [4]"),
    "a bias that is None": (lambda s: state(s, "mapping.fc0")["_parameters"].update(bias=None), "lacks the tensor"),
    "a bias that is text": (lambda s: state(s, "mapping.fc0")["_parameters"].update(bias="zero"), "lacks the tensor"),
    "one tensor more": (tensor("mapping.fc0.gain", np.zeros(1)), "a tensor mapping.fc0.gain that no such network"),
    "one tensor more, named to forge a line": (
        lambda s: state(s, "mapping")["_buffers"].update({FORGED: tensor_of(np.zeros(1, "f4"))}),
        "that no such network has",
    ),
    "a filter of no dimension": (filters(np.zeros(())), "resampling filter"),
    "a filter of three dimensions": (filters(np.zeros((4, 4, 4))), "resampling filter"),
    "an empty filter": (filters(np.zeros((0, 0))), "resampling filter"),
    "a filter that is not square": (filters(np.zeros((4, 3))), "the resampling filter has shape [4, 3]"),
    "a filter that is not separable": (filters(np.eye(4)), "the resampling filter is not separable"),
    "a filter of infinities": (filters(np.full((4, 4), np.inf)), "resampl"),
    "a filter of 10,000 taps": (filters(np.zeros(10_000)), "the resampling filter has shape [10000]"),
    "two filters": (tensor("synthesis.b8.resample_filter", np.zeros((4, 4))), "filters differ"),
}

CASES = {**RECORDS, **ATTRIBUTES, **TENSORS}


@pytest.mark.parametrize("case", CASES)
def test_a_network_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spoil, message = CASES[case]
    snapshot = small_snapshot()
    spoil(snapshot)
    path.write_bytes(to_pickle(snapshot))
    assert_refused(path, message)


def test_code_in_any_attribute_is_named_and_not_run(path: Path) -> None:
    snapshot = small_snapshot()
    state(snapshot, "synthesis.b8.conv1")["act_gain"] = Call(Name("posix", "system"), (f"touch {path}.ran",))
    path.write_bytes(to_pickle(snapshot))
    assert_refused(path, "refers to posix.system", UnsafeCheckpointError)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_source_that_a_snapshot_embeds_is_never_run(path: Path) -> None:
    snapshot = small_snapshot()
    for name in ("", "mapping", "synthesis"):
        module(snapshot, name).record["module_src"] = f"import os; os.system('touch {path}.ran')"
    path.write_bytes(to_pickle(snapshot))
    assert load_checkpoint(path).spec.resolution == 8
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_tensorflow_network_without_its_state_is_refused(path: Path) -> None:
    path.write_bytes(to_pickle(tuple(Call(Name("dnnlib.tflib.network", "Network"), ()) for _ in range(3))))
    assert_refused(path, "a network has no record")
