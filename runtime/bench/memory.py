"""Peak memory of a contestant alone: contestants that take turns in one process can't be told apart."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.backends import MemoryUse
from runtime.bench.child import run_child
from runtime.bench.contestants import Entrant
from runtime.bench.inputs import Inputs
from runtime.bundle import Bundle
from runtime.errors import BackendUnavailableError, StyleganEdgeError

RUNS = 2
"""Batches drawn: the first prepares."""


@dataclass(frozen=True)
class Memory:
    """Bytes. `host_peak`: resident, of a process of its own from its start over RUNS batches of `batch` images.

    `device`: by how much the GPU's free memory fell meanwhile. `graph`: what the graph itself says it holds on the GPU.
    `missing` says why a figure is None.
    """

    batch: int
    host_peak: int | None
    device: int | None
    graph: MemoryUse | None
    missing: str | None


def measure_alone(entrant: Entrant, batch: int) -> Memory:
    """Run a contestant in a process of its own. What fails is said in `missing`."""
    alone = entrant.alone
    try:
        found = run_child(alone.module, {**alone.arguments, "batch": batch})
    except BackendUnavailableError as error:
        return Memory(batch, None, None, entrant.memory(), str(error))
    missing = None if found["host_peak"] is not None else "this system does not tell a process's peak memory"
    return Memory(batch, found["host_peak"], found["device"], entrant.memory(), missing)


def draw_alone(entrant: Entrant, bundle: Bundle, batch: int, gpu: int) -> dict[str, int | None]:
    """What the process of its own does: open, draw, and look at its own memory."""
    free = _free_memory(gpu)
    entrant.open()
    try:
        contestant = entrant.enter(Inputs.of(bundle, batch))
        for _ in range(RUNS):
            contestant.run()
        left = _free_memory(gpu) if entrant.device == "cuda" else None
    finally:
        entrant.close()
    return {"host_peak": peak_resident(), "device": None if free is None or left is None else free - left}


def peak_resident() -> int | None:
    """Bytes that this process had in memory at most; None where the system can't say."""
    # Not getrusage: there a process inherits the peak of the one that started it.
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _free_memory(gpu: int) -> int | None:
    from runtime.cuda import Gpu

    try:
        return Gpu.open(gpu).free_memory()
    except StyleganEdgeError:
        return None
