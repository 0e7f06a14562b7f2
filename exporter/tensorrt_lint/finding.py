"""What a lint says of a node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(str, Enum):
    """Whether TensorRT would not build the graph, or would build it into something else than one may expect."""

    REFUSED = "refused"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One node, input, output or initializer: its name (`number 3` where a node has none), why, and what to do.

    `operator` says what it is where it is no node.
    """

    node: str
    operator: str
    severity: Severity
    reason: str
    remedy: str
