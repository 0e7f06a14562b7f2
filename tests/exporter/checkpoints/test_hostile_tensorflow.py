"""TensorFlow pickles whose networks are none: each refusal says what stands where a record belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.checkpoints import load_checkpoint
from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.known_networks import tensorflow_stylegan1
from tests.exporter.checkpoints.numpy_pickles import array_of
from tests.exporter.checkpoints.pickle_writing import call, name, pickled, plain, text
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import Call, Made, Name, to_pickle
from tests.exporter.checkpoints.spoiling import FORGED
from tests.exporter.checkpoints.tensorflow_networks import NETWORK, honest_variables, snapshot

Networks = tuple[Made, Made, Made]
MODULE, CLASS = NETWORK.module, NETWORK.attribute


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def networks() -> Networks:
    """An honest 8 px StyleGAN: G, D, Gs."""
    return snapshot(honest_variables(tensorflow_stylegan1(channels=(3, 2))), {})


def gs(item: Networks, component: str = "") -> dict[str, Any]:
    """The record of Gs, or of a component of it."""
    record: dict[str, Any] = item[2].state
    return record["components"][component].state if component else record


def test_the_unspoilt_networks_load(path: Path) -> None:
    path.write_bytes(to_pickle(networks()))
    assert load_checkpoint(path).spec.resolution == 8


def test_one_network_in_three_places_loads(path: Path) -> None:
    path.write_bytes(to_pickle((networks()[2],) * 3))
    assert load_checkpoint(path).details["network"] == "Gs"


def entry(key: str, value: Any, component: str = "") -> Callable[[Networks], None]:
    """Set an entry of a record."""
    return lambda item: gs(item, component).update({key: value})


def without(key: str, component: str = "") -> Callable[[Networks], None]:
    """Remove an entry of a record."""

    def spoil(item: Networks) -> None:
        del gs(item, component)[key]

    return spoil


def components(**changes: Any) -> Callable[[Networks], None]:
    """Set components of Gs."""
    return lambda item: gs(item)["components"].update(changes)


def variable(*pair: Any) -> Callable[[Networks], None]:
    """Append a pair to the variables of Gs."""
    return lambda item: gs(item)["variables"].append(pair)


def whole_in_itself(item: Networks) -> None:
    components(synthesis=item[2], mapping=item[2])(item)


def one_component_in_two_places(item: Networks) -> None:
    components(mapping=gs(item)["components"]["synthesis"])(item)


def no_generator(item: Networks) -> None:
    for network in (item[0], item[2]):
        network.state["components"] = {}


def a_discriminator_for_a_mapping(item: Networks) -> None:
    components(mapping=item[1])(item)


def no_network_has_a_record(item: Networks) -> None:
    for network in item:
        network.state = None


RECORDS: dict[str, tuple[Callable[[Networks], Any], str]] = {
    "no record": (no_network_has_a_record, "a network has no record"),
    "a record that is a list": (lambda item: setattr(item[2], "state", [1]), "a network has no record"),
    "a record that is text": (lambda item: setattr(item[2], "state", "weights"), "a network has no record"),
    "no generator": (no_generator, "the TensorFlow pickle has no generator among its 3 networks; supported: NVIDIA"),
    "components that are a list": (entry("components", []), "components are no dictionary of a few networks"),
    "components that are None": (entry("components", None), "components are no dictionary of a few networks"),
    "a thousand components": (
        components(**{f"part{index}": None for index in range(1000)}),
        "components are no dictionary of a few networks",
    ),
    "components named by numbers": (
        lambda item: gs(item)["components"].update({10**6000: None}),
        "components are no dictionary of a few networks",
    ),
    "a component that is text": (components(synthesis="synthesis"), "a network has no record"),
    "a component that is None": (components(mapping=None), "a network has no record"),
    "a component that is a dictionary": (components(mapping={"variables": []}), "a network has no record"),
    "a component that is a function": (components(mapping=NETWORK), "a network has no record"),
    "a component of another class": (components(mapping=Made(Name("dnnlib.util", "EasyDict"))), "has no record"),
    "a network inside itself": (whole_in_itself, "the network Gs is of an unknown kind: built by G_style, with 'dlat"),
    "one component in two places": (one_component_in_two_places, "lacks the 2-dimensional variable mapping/Dense0"),
    "a discriminator for a mapping": (a_discriminator_for_a_mapping, "lacks the 2-dimensional variable mapping/Dense0"),
    "a component too many": (
        lambda item: components(extra=gs(item)["components"]["mapping"])(item),
        "the network has the variable extra/Dense0/bias, which no such network has",
    ),
    "an old version": (entry("version", 1), "the network record has version 1, expected one of 2, 3, 4"),
    "a new version": (entry("version", 5), "has version 5, expected one of 2, 3, 4"),
    "no version": (without("version"), "has version None, expected"),
    "a version of text": (entry("version", "3"), "has version '3', expected"),
    "a version that is a list": (entry("version", [3]), "has version a list, expected"),
    "a version that is an array": (entry("version", np.array([3, 3])), "has version a "),
    "a version of 6000 digits": (entry("version", 10**6000), "has version a huge number, expected"),
    "options that are a list": (entry("static_kwargs", []), "a network's options are no dictionary"),
    "options that are None": (entry("static_kwargs", None, "mapping"), "a network's options are no dictionary"),
    "an option named by a number": (entry("static_kwargs", {1: 2}), "a network's options are no dictionary"),
    "no variables": (without("variables", "synthesis"), "a network has no list of variables"),
    "variables in a dictionary": (entry("variables", {}, "mapping"), "a network has no list of variables"),
    "variables in a tuple": (entry("variables", ()), "a network has no list of variables"),
    "more variables than any network has": (
        entry("variables", [(f"v{index}", 0.0) for index in range(10_000)]),
        "a network has 10,000 variables, expected at most 4,096",
    ),
    "a variable alone": (variable("lod"), "a variable is not a name and an array"),
    "a variable of three": (variable("lod", 0.0, 0.0), "a variable is not a name and an array"),
    "a variable that is a list": (
        lambda item: gs(item)["variables"].append(["lod", 0.0]),
        "a variable is not a name and an array",
    ),
    "a variable named by a number": (variable(1, 0.0), "a variable is not a name and an array"),
    "a variable of text": (variable("lod", "0"), "a variable is not a name and an array"),
    "a variable that is None": (variable("lod", None), "a variable is not a name and an array"),
    "a variable that is a network": (
        lambda item: variable("lod", item[2])(item),
        "a variable is not a name and an array",
    ),
    "a variable that is whole": (variable("lod", 0), "a variable is not a name and an array"),
    "a variable named to forge a line": (variable(FORGED, 0.0), r"has the variable a\nError: \x1b[2J, which no such"),
    "a build function named to forge a line": (
        lambda item: (entry("build_func_name", FORGED)(item), entry("variables", [], "synthesis")(item)),
        r"of an unknown kind: built by a\nError: \x1b[2J, with 'dlatent_avg', 'lod', 'mapping/Dense0/bias'",
    ),
    "a build function that is a list": (
        lambda item: (entry("build_func_name", [])(item), entry("variables", [], "synthesis")(item)),
        "of an unknown kind: built by ?, with",
    ),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spoil, message = RECORDS[case]
    item = networks()
    spoil(item)
    path.write_bytes(to_pickle(item))
    assert_refused(path, message)


def made(*arguments: bytes) -> bytes:
    """NEWOBJ of a network."""
    return name(MODULE, CLASS) + b"(" + b"".join(arguments) + b"t" + b"\x81"


PICKLES = {
    "a network without a record": (made(), "a network has no record"),
    "a network made with arguments": (made(plain("G_style")), "a network is made with arguments"),
    "a network called with arguments": (call(name(MODULE, CLASS), plain({})), "a network is made with arguments"),
    "the class alone": (name(MODULE, CLASS), "the pickle holds a Global, expected a training snapshot"),
    "the class in a tuple": (name(MODULE, CLASS) + b"\x85", "the pickle holds a tuple, expected a training snapshot"),
    "state set on the class": (name(MODULE, CLASS) + b"}b", "state is set on a Global"),
    "a tuple of numbers": (plain((1, 2, 3)), "the pickle holds a tuple, expected a training snapshot"),
    "networks in a dictionary": (
        b"}" + text("Gs") + made() + b"s",
        "the pickle has no generator: it holds 'Gs', expected 'G_ema'",
    ),
    "networks without end": (b"(" + made() + b"2" * 99_999 + b"l", "holds 100,000 networks, expected at most 16"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_of_no_networks_is_refused(case: str, path: Path) -> None:
    instructions, message = PICKLES[case]
    path.write_bytes(pickled(instructions))
    assert_refused(path, message)


def test_components_of_components_are_not_followed(path: Path) -> None:
    depth = 5_000
    level = made() + b"}" + text("components") + b"}" + text("synthesis")
    path.write_bytes(pickled(level * depth + b"N" + b"ssb" * depth))
    assert_refused(path, "has no generator among its 1 networks")


FOREIGN = [
    ("builtins", "eval"),
    ("dnnlib.tflib.network", "Network.run"),
    ("dnnlib.tflib.network", "import_handlers"),
    ("dnnlib.tflib.network2", "Network"),
    ("dnnlib.util", "call_func_by_name"),
    ("tensorflow.python.framework.ops", "Tensor"),
]


@pytest.mark.parametrize(("module", "attribute"), FOREIGN)
def test_other_names_are_unsafe(module: str, attribute: str, path: Path) -> None:
    path.write_bytes(pickled(call(name(module, attribute), plain("1"))))
    assert_refused(path, f"refers to {module}.{attribute}, which no supported format", UnsafeCheckpointError)


@pytest.mark.parametrize(
    "place",
    [
        lambda item, code: variable("lod", code)(item),
        lambda item, code: gs(item)["static_kwargs"].update(func_name=code),
        lambda item, code: components(mapping=code)(item),
        lambda item, code: gs(item).update(name=code),
    ],
    ids=["variable", "option", "component", "entry"],
)
def test_code_in_any_part_is_named_and_not_run(place: Callable[[Networks, Call], Any], path: Path) -> None:
    item = networks()
    place(item, Call(Name("posix", "system"), (f"touch {path}.ran",)))
    path.write_bytes(to_pickle(item))
    assert_refused(path, "refers to posix.system", UnsafeCheckpointError)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_source_that_a_network_embeds_is_never_run(path: Path) -> None:
    item = networks()
    for part in ("", "synthesis", "mapping"):
        gs(item, part)["build_module_src"] = f"import os; os.system('touch {path}.ran')"
    path.write_bytes(to_pickle(item))
    assert load_checkpoint(path).spec.resolution == 8
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_layers_that_share_their_bytes_are_not_multiplied(path: Path) -> None:
    """1 MB in the file, 60 MB in memory if each layer had its own copy."""
    width, layers = 512, 60
    weight, bias = array_of(np.zeros((width, width), np.float32)), array_of(np.zeros(width, np.float32))
    item = networks()
    pairs = [(f"Dense{index}/{kind}", value) for index in range(layers) for kind, value in (("weight", weight),)]
    gs(item, "mapping")["variables"] = pairs + [(f"Dense{index}/bias", bias) for index in range(layers)]
    path.write_bytes(to_pickle(item))
    assert_refused(path, "the generator's tensors have 63,0", memory=8 << 20)
