"""What executes a graph."""

from __future__ import annotations

from runtime.backends.base import BackendName, DeviceRunner, GraphRunner, MemoryUse, RunOptions
from runtime.backends.choice import Attempt, examine_ways, open_graphs

__all__ = [
    "Attempt",
    "BackendName",
    "DeviceRunner",
    "GraphRunner",
    "MemoryUse",
    "RunOptions",
    "examine_ways",
    "open_graphs",
]
