"""What graphs are made fast for."""

from __future__ import annotations

from exporter.networks.deploy.cost_model import Target
from runtime.device import read_device
from runtime.errors import BackendUnavailableError, InputError

AUTO = "auto"
"""The GPU of this machine, where it has one, or else CPUs."""


def resolve_target(name: str) -> Target:
    """A target by its name, or the one that "auto" stands for here. Raises InputError for anything else."""
    if name == AUTO:
        try:
            read_device()
        except BackendUnavailableError:
            return Target.CPU
        return Target.GPU
    try:
        return Target(name)
    except ValueError:
        known = ", ".join([*(item.value for item in Target), AUTO])
        raise InputError(f"tune is {name[:40]!r}, expected one of {known}") from None
