"""How far a build is, from TensorRT's nested phases, and the way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.tensorrt.versions import Feature, Library

Report = Callable[[float], None]
"""Takes the share of the work that is done, from 0 to 1; called from the thread that builds."""


class BuildCancelledError(Exception):
    """The build was stopped because it was asked to."""


@dataclass
class _Phase:
    name: str
    steps: int
    done: int = 0


class ProgressReport:
    """Phases that TensorRT opened and has not closed, outermost first; and whether it shall stop."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._phases: list[_Phase] = []
        self._told = 0.0
        self.cancelled = False

    def cancel(self) -> None:
        """Ask TensorRT to stop at its next step."""
        self.cancelled = True

    def start(self, name: str, steps: int) -> None:
        """A phase begins inside the last open one."""
        self._phases.append(_Phase(name, max(steps, 1)))

    def step(self, name: str, step: int) -> bool:
        """A step of a phase is done. Returns whether to go on."""
        for phase in self._phases:
            if phase.name == name:
                phase.done = min(step + 1, phase.steps)
        if self._report is not None and self.share > self._told:
            self._told = self.share
            self._report(self._told)
        return not self.cancelled

    def finish(self, name: str) -> None:
        """A phase ended, and with it what it held."""
        for index, phase in enumerate(self._phases):
            if phase.name == name:
                del self._phases[index:]
                return

    @property
    def share(self) -> float:
        """Steps done of the outermost phase, and within its current step those of the next, and so on."""
        share, width = 0.0, 1.0
        for phase in self._phases:
            width /= phase.steps
            share += width * phase.done
        return min(share, 1.0)


def make_monitor(library: Library, progress: ProgressReport) -> Any:
    """What TensorRT tells its progress to; None where this version has no such thing."""
    if not library.has(Feature.PROGRESS):
        return None
    trt = library.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """What TensorRT calls. Nothing may be raised here: it would travel through TensorRT."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """A phase begins."""
            progress.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """A step is done; False stops the build."""
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            """A phase ended."""
            progress.finish(phase_name)

    return Monitor()
