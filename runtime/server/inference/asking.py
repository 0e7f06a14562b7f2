"""What a request asks of a model, checked against its interface, whichever way it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.errors import quoted
from runtime.server.errors import BadRequestError, NotOfferedError
from runtime.server.inference.interface import Interface
from runtime.server.inference.tensors import Shape, check_datatype, check_shape

MICROSECONDS = 1_000_000
"""A second: the parameter `timeout` counts in them."""

SHARED_MEMORY, TRACING, LOG_SETTINGS = "shared memory", "tracing by request", "settings of the log"
"""Extensions of Triton's that this server does without."""


def without(what: str) -> NotOfferedError:
    """The answer to who asks for one."""
    return NotOfferedError(f"this server does without {what}")


@dataclass(frozen=True)
class Asked:
    """Inputs [N or 1, ...] by name, the outputs wanted, and the seconds that the client gives (None: the server's)."""

    inputs: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    timeout: float | None = None


@dataclass(frozen=True)
class Declared:
    """An input as a request declares it."""

    name: str
    datatype: str
    shape: Shape


def check_inputs(interface: Interface, tensors: Iterable[Any]) -> list[Declared]:
    """Of tensors with `name`, `datatype` and `shape`, what is declared. Raises BadRequestError."""
    known = {item.name: item for item in interface.inputs}
    found: dict[str, Declared] = {}
    for tensor in tensors:
        name = tensor.name
        if name not in known:
            raise BadRequestError(f"{interface.name} has no input {quoted(name)}, expected {', '.join(known)}")
        if name in found:
            raise BadRequestError(f"input {name} is given twice")
        datatype, accepted = check_datatype(name, tensor.datatype), known[name].accepted
        if datatype not in accepted:
            raise BadRequestError(f"{name} has datatype {datatype}, expected {' or '.join(accepted)}")
        found[name] = Declared(name, datatype, check_shape(name, list(tensor.shape)))
    return list(found.values())


def check_outputs(interface: Interface, names: Sequence[str]) -> tuple[str, ...]:
    """The outputs that are wanted: all where none is named. Raises BadRequestError."""
    known = [item.name for item in interface.outputs]
    for index, name in enumerate(names):
        if name not in known:
            raise BadRequestError(f"{interface.name} has no output {quoted(name)}, expected {', '.join(known)}")
        if name in names[:index]:
            raise BadRequestError(f"output {name} is asked for twice")
    return tuple(names) or tuple(known)


def check_tensor_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Raise NotOfferedError where a tensor is to be taken from, or made into, what is not offered here."""
    if any(key.startswith("shared_memory") for key in parameters):
        raise NotOfferedError(f"{name} is in shared memory, which this server does without; send values or raw bytes")
    if parameters.get("classification"):
        raise NotOfferedError(f"{name} is no classification; ask for it without that parameter")


def timeout_of(parameters: Mapping[str, Any]) -> float | None:
    """The seconds that the parameter `timeout`, in microseconds, gives; 0 and none are the server's own."""
    value = parameters.get("timeout", 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequestError(f"the parameter timeout is {quoted(value)}, expected microseconds")
    return min(value, MICROSECONDS**2) / MICROSECONDS if value else None
