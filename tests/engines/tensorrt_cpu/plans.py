"""Plans of ONNX graphs, and what TensorRT said while it parsed and built them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from runtime.engine_record import Profile
from runtime.manifest import TensorInfo
from runtime.records import from_plain
from tests.engines.tensorrt_cpu.session import session_environment

BUILDER = "tests.engines.tensorrt_cpu.builder"
TIMEOUT = 300
"""Seconds after which a build hangs: the largest official network takes under ten."""


@dataclass(frozen=True)
class PlanReport:
    """One graph: did it parse, how large is its plan (0: not built), what does it take and give (-1: a free size)."""

    graph: str
    parsed: bool
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    plan_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def build_plans(graphs: Sequence[Path], batches: Profile, libraries: Path) -> dict[str, PlanReport]:
    """Parse and build every graph in one process of its own; reports by the name of the file, without `.onnx`.

    In its own process because the loader reads LD_LIBRARY_PATH once, at the start, and because TensorRT may crash.
    """
    command = [sys.executable, "-m", BUILDER, *map(str, astuple(batches)), *(str(graph.resolve()) for graph in graphs)]
    environment = session_environment(libraries)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"TensorRT's process ended with {done.returncode}: {done.stderr}"
    reports = [from_plain(PlanReport, item, "report") for item in json.loads(done.stdout)]
    return {report.graph: report for report in reports}
