"""rosinality's two projects: state dicts, given canonical names. Everything is inferred from tensor shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from exporter.checkpoints import rosinality_stylegan1, rosinality_stylegan2
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.layout import MEAN_W, to_float32
from exporter.checkpoints.pickle_machine import AllowList, Global, Instance, empty_dictionary
from exporter.checkpoints.shown import listed
from exporter.checkpoints.source import SourceFormat
from exporter.checkpoints.state_dict import State
from exporter.checkpoints.tensors import TORCH_GLOBALS, check_bytes
from runtime.errors import CheckpointError
from runtime.spec import GeneratorSpec

NETWORK_KEYS = ("g_ema", "g", "g_running", "generator")
"""Where a training file keeps its generator, best first: the averaged weights are the ones that people mean."""
BARE = "state dict"
"""What a file is called that holds a generator's state and nothing else."""
PARALLEL_PREFIX = "module."
"""What torch's data-parallel wrappers put before every name."""


def _namespace(*_: Any) -> Instance:
    return Instance(Global("argparse", "Namespace"))


ALLOWED: AllowList = {
    **TORCH_GLOBALS,
    ("collections", "OrderedDict"): empty_dictionary,
    ("argparse", "Namespace"): _namespace,
}


def read_rosinality(
    value: Any, size: int
) -> tuple[SourceFormat, tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]]:
    """Turn what torch.save wrote in `size` bytes into a specification, canonical weights and details.

    Raises CheckpointError.
    """
    key, state = _find_generator(value)
    check_bytes(state.arrays.values(), size)
    details = {"network": key}
    if rosinality_stylegan1.SIGNATURE in state:
        spec, weights, more = rosinality_stylegan1.read_generator(state)
        return SourceFormat.ROSINALITY_STYLEGAN1, (spec, weights, details | more)
    spec, weights = rosinality_stylegan2.read_generator(state)
    mean = value.get("latent_avg")
    if isinstance(mean, np.ndarray):
        weights[MEAN_W] = to_float32(mean.reshape(-1))
    return SourceFormat.ROSINALITY_STYLEGAN2, (spec, weights, details)


def _find_generator(value: Any) -> tuple[str, State]:
    if not isinstance(value, dict):
        raise CheckpointError(
            f"the file holds a {type(value).__name__}, expected a dictionary of networks; {SUPPORTED}"
        )
    for key, candidate in (*((key, value.get(key)) for key in NETWORK_KEYS), (BARE, value)):
        state = _state(candidate)
        if rosinality_stylegan1.SIGNATURE in state or rosinality_stylegan2.SIGNATURE in state:
            return key, state
    raise CheckpointError(
        f"the file has no generator: it holds {listed(value)}, expected 'g_ema' or 'g_running'; {SUPPORTED}"
    )


def _state(value: Any) -> State:
    """The arrays of a state dict, without the prefix of a data-parallel wrapper."""
    arrays: Mapping[Any, Any] = value if isinstance(value, dict) else {}
    named = ((name, item) for name, item in arrays.items() if isinstance(name, str) and isinstance(item, np.ndarray))
    return State({name.removeprefix(PARALLEL_PREFIX): item for name, item in named})
