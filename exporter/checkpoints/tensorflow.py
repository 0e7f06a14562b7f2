"""NVIDIA's TensorFlow pickles: StyleGAN's and StyleGAN2's `(G, D, Gs)`, read as data; TensorFlow is never needed.

A network's record holds its options, its variables and its components. The options that a file records are only those
that somebody set; the defaults stand in the readers of the two generations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.checkpoints import limits, tensorflow_stylegan1, tensorflow_stylegan2
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.pickle_machine import Global, Instance
from exporter.checkpoints.shown import listed, quoted, shown
from exporter.checkpoints.tensorflow_network import Options, Variables
from exporter.checkpoints.tensors import as_array, check_bytes
from runtime.errors import CheckpointError
from runtime.spec import GeneratorSpec

NETWORK = Global("dnnlib.tflib.network", "Network")
VERSIONS = (2, 3, 4)
"""Versions of the record that the official loaders take."""
NAMES = ("G", "D", "Gs")
"""What a training snapshot's networks are, in order; Gs has the averaged weights."""


def rebuild_network(*args: Any) -> Instance:
    """`dnnlib.tflib.network.Network`: its state arrives with BUILD."""
    if args:
        raise CheckpointError("the pickle is damaged: a network is made with arguments")
    return Instance(NETWORK)


def holds_networks(value: Any) -> bool:
    """Whether a pickle's value is a network, or a tuple that holds some."""
    return _is_network(value) or (isinstance(value, (tuple, list)) and any(_is_network(item) for item in value))


def read_networks(value: Any, size: int) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """The specification, canonical weights and details of the generator in a file of `size` bytes.

    Raises CheckpointError.
    """
    network, generator = _find_generator(value)
    check_bytes(generator.variables.arrays.values(), size)
    variables = generator.variables
    details = {
        "network": network,
        "network record version": str(generator.version),
        "build function": shown(generator.function),
    }
    if "synthesis/4x4/Conv/StyleMod/weight" in variables:
        spec, weights = tensorflow_stylegan1.read_generator(variables, generator.options)
    elif "synthesis/4x4/Conv/mod_weight" in variables:
        spec, weights = tensorflow_stylegan2.read_generator(variables, generator.options)
    else:
        raise CheckpointError(
            f"the network {network} is of an unknown kind: built by {shown(generator.function)}, with "
            f"{listed(sorted(variables))}; {SUPPORTED}"
        )
    generator.options.check_all_known()
    variables.check_all_used()
    return spec, weights, details


@dataclass(frozen=True)
class _Generator:
    version: int
    function: str
    options: Options
    variables: Variables


def _find_generator(value: Any) -> tuple[str, _Generator]:
    """The last network of a snapshot that has a mapping and a synthesis: Gs, where it is a whole one."""
    networks = value if isinstance(value, (tuple, list)) else [value]
    if len(networks) > limits.MAX_NETWORKS:
        raise CheckpointError(
            f"the pickle holds {len(networks):,} networks, expected at most {limits.MAX_NETWORKS}: G, D and Gs"
        )
    names = NAMES if len(networks) == len(NAMES) else [str(index) for index in range(len(networks))]
    for name, network in reversed(list(zip(names, networks))):
        if _is_network(network) and {"synthesis", "mapping"} <= set(_components(_state(network))):
            return name, _read_generator(network)
    raise CheckpointError(f"the TensorFlow pickle has no generator among its {len(networks)} networks; {SUPPORTED}")


def _read_generator(network: Instance) -> _Generator:
    state = _state(network)
    version = state.get("version")
    if not isinstance(version, int) or version not in VERSIONS:
        raise CheckpointError(
            f"the network record has version {quoted(version)}, expected one of {', '.join(map(str, VERSIONS))}"
        )
    components = {name: _state(component) for name, component in _components(state).items()}
    arrays = _variables(state, "")
    for name, component in components.items():
        arrays |= _variables(component, f"{name}/")
    options: dict[str, Any] = {}
    for record in (*components.values(), state):
        options |= _options(record)
    function = state.get("build_func_name")
    return _Generator(version, function if isinstance(function, str) else "?", Options(options), Variables(arrays))


def _is_network(value: Any) -> bool:
    return isinstance(value, Instance) and value.type == NETWORK


def _state(network: Any) -> dict[Any, Any]:
    state = network.state if _is_network(network) else None
    if not isinstance(state, dict):
        raise CheckpointError("the pickle is damaged: a network has no record")
    return state


def _components(state: Mapping[Any, Any]) -> dict[str, Any]:
    components = state.get("components", {})
    few = isinstance(components, dict) and len(components) <= limits.MAX_COMPONENTS
    if not few or not all(isinstance(name, str) for name in components):
        raise CheckpointError("the pickle is damaged: a network's components are no dictionary of a few networks")
    return dict(components)


def _options(state: Mapping[Any, Any]) -> dict[str, Any]:
    options = state.get("static_kwargs", {})
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise CheckpointError("the pickle is damaged: a network's options are no dictionary")
    return options


def _variables(state: Mapping[Any, Any], prefix: str) -> dict[str, np.ndarray]:
    pairs = state.get("variables")
    if not isinstance(pairs, list):
        raise CheckpointError("the pickle is damaged: a network has no list of variables")
    if len(pairs) > limits.MAX_VARIABLES:
        raise CheckpointError(f"a network has {len(pairs):,} variables, expected at most {limits.MAX_VARIABLES:,}")
    arrays = {}
    for pair in pairs:
        array = as_array(pair[1]) if isinstance(pair, tuple) and len(pair) == 2 else None
        if array is None or not isinstance(pair[0], str):
            raise CheckpointError("the pickle is damaged: a variable is not a name and an array")
        arrays[prefix + pair[0]] = array
    return arrays
