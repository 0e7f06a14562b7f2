"""A pickled network as a tree of modules: attributes, tensors and children, all of it data.

NVIDIA's pickles hold each module as `_reconstruct_persistent_obj(meta)`, where `meta` has the class name, the source
text of the class (never used here) and the module's state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.pickle_machine import Global, Instance
from exporter.checkpoints.shown import quoted, shown
from exporter.checkpoints.tensors import as_array
from runtime.errors import CheckpointError

PERSISTENCE_VERSION = 6
"""The one version of the module record that NVIDIA's repositories have published."""

Value = TypeVar("Value")


@dataclass
class Module:
    """One module: its path from the network, class name, attributes, tensors and children."""

    path: str
    class_name: str
    attributes: dict[str, Any]
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    children: dict[str, Module] = field(default_factory=dict)

    def get(self, name: str, kind: type[Value]) -> Value:
        """An attribute of a known type. Raises CheckpointError where it is missing or of another type."""
        value = self.attributes.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(f"{self} has {name} = {quoted(value)}, which is not understood")
        return value

    def number(self, name: str) -> float:
        """A numeric attribute. Raises CheckpointError where it is missing, no number, or too large for one."""
        value = self.attributes.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or abs(value) > limits.MAX_ATTRIBUTE:
            raise CheckpointError(f"{self} has {name} = {quoted(value)}, expected a number")
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        """A numeric attribute that may be None or missing."""
        return None if self.attributes.get(name) is None else self.number(name)

    def numbers(self, name: str) -> list[int]:
        """A few whole numbers: a list or an array. Raises CheckpointError where the attribute is anything else."""
        value = self.attributes.get(name)
        array = as_array(value)
        if array is not None and array.dtype.kind in "iu" and array.size <= limits.MAX_NUMBERS:
            value = [int(item) for item in array.reshape(-1)]
        if not isinstance(value, list) or len(value) > limits.MAX_NUMBERS or not all(map(_is_whole, value)):
            raise CheckpointError(f"{self} has {name} = {quoted(value)}, expected a few whole numbers")
        return value

    def child(self, name: str) -> Module:
        """A child module. Raises CheckpointError where it is missing."""
        if name not in self.children:
            raise CheckpointError(f"{self} ({shown(self.class_name)}) has no part {quoted(name)}")
        return self.children[name]

    def tensor(self, name: str, dimensions: int) -> np.ndarray:
        """A tensor. Raises CheckpointError where it is missing or has another number of dimensions."""
        array = self.tensors.get(name)
        if array is None or array.ndim != dimensions:
            raise CheckpointError(f"{self} has no {dimensions}-dimensional tensor {name!r}")
        return array

    def walk(self) -> Iterator[Module]:
        """This module and everything below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def __str__(self) -> str:
        return f"the module {shown(self.path)}" if self.path else "the generator"


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= limits.MAX_ATTRIBUTE


def common(what: str, values: list[Value]) -> Value:
    """The value that all layers share. Raises CheckpointError where they disagree."""
    if not values:
        raise CheckpointError(f"the network has no layer that would say its {what}")
    if any(value != values[0] for value in values):
        found = " and ".join(dict.fromkeys(shown(value) for value in values))
        raise CheckpointError(f"the layers disagree on {what}: {found}; one value for all is supported")
    return values[0]


def require_lrelu(layer: Module) -> None:
    """Raise CheckpointError where a layer has another activation than leaky ReLU."""
    activation = layer.get("activation", str)
    if activation != "lrelu":
        raise CheckpointError(f"{layer} uses the activation {quoted(activation)}; only 'lrelu' is supported")


def rebuild_module(meta: Any, *_: Any) -> Instance:
    """`torch_utils.persistence._reconstruct_persistent_obj`: the record itself, nothing rebuilt, nothing run."""
    if not isinstance(meta, dict):
        raise CheckpointError("the pickle is damaged: a module has no record")
    return Instance(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), state=meta)


def module_tree(record: Any) -> Module:
    """The tree below a pickled network. Raises CheckpointError where it is none."""
    return _module(record, "", 0, set())


def _module(record: Any, path: str, depth: int, seen: set[int]) -> Module:
    if depth > limits.MAX_MODULE_DEPTH:
        raise CheckpointError(f"the network's modules nest over {limits.MAX_MODULE_DEPTH} deep")
    meta = record.state if isinstance(record, Instance) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise CheckpointError(f"the pickle is damaged: {shown(path) if path else 'the generator'} is not a module")
    if id(record) in seen:
        raise CheckpointError("the pickle is damaged: one module stands in several places")
    seen.add(id(record))
    version, class_name, state = meta.get("version"), meta.get("class_name"), meta["state"]
    if version != PERSISTENCE_VERSION:
        raise CheckpointError(f"the module record has version {quoted(version)}, expected {PERSISTENCE_VERSION}")
    module = Module(path, class_name if isinstance(class_name, str) else "?", state)
    for group in ("_parameters", "_buffers"):
        for name, value in _group(state, group).items():
            array = as_array(value)
            if array is not None:
                module.tensors[name] = array
    for name, value in _group(state, "_modules").items():
        if value is not None:
            module.children[name] = _module(value, f"{path}.{name}".lstrip("."), depth + 1, seen)
    return module


def _group(state: dict[Any, Any], name: str) -> dict[str, Any]:
    group = state.get(name)
    if not isinstance(group, dict) or not all(isinstance(key, str) for key in group):
        raise CheckpointError(f"the pickle is damaged: a module has no {name}")
    return group
