"""Ways to spoil a snapshot: each returns a function that changes it in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.exporter.checkpoints.snapshots import set_tensor, state

Snapshot = dict[str, Any]
Spoil = Callable[[Snapshot], Any]

FORGED = "a\nError: \x1b[2J"
"""A text that would forge a line of output."""


def attribute(owner: str, name: str, value: Any) -> Spoil:
    """Set an attribute of a module."""
    return lambda snapshot: state(snapshot, owner).update({name: value})


def without(owner: str, name: str, group: str = "") -> Spoil:
    """Remove an attribute of a module, or an entry of one of its groups."""

    def spoil(snapshot: Snapshot) -> None:
        attributes = state(snapshot, owner)
        del (attributes[group] if group else attributes)[name]

    return spoil


def tensor(name: str, array: np.ndarray) -> Spoil:
    """Replace or add a tensor."""
    return lambda snapshot: set_tensor(snapshot, name, array.astype(array.dtype if array.dtype.kind == "f" else "f4"))
