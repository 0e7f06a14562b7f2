"""The outcome of the GPU checks as one JSON document, with what each measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "STYLEGAN_EDGE_GPU_JSON"
"""The environment variable that names the file to write."""


class JsonReport:
    """A pytest plugin. A test adds figures with the fixture `record_property`."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self._path = path
        self._facts = facts
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how a test ended; the file is written anew each time, so that a crash leaves what was found."""
        if report.when != "call" and report.passed:
            return
        entry = {
            "outcome": report.outcome,
            "seconds": round(report.duration, 3),
            "figures": dict(report.user_properties),
            "why": _reason(report),
        }
        self._tests[report.nodeid] = entry
        self._path.write_text(json.dumps({**self._facts, "tests": self._tests}, indent=1) + "\n")


def _reason(report: pytest.TestReport) -> str | None:
    if report.passed:
        return None
    if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
        return str(report.longrepr[2])
    return report.longreprtext[-4000:]
