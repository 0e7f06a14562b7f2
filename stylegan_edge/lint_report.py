"""What `inspect --tensorrt` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runtime.engine_record import dotted
from runtime.records import to_plain

if TYPE_CHECKING:
    from exporter.tensorrt_lint import Finding, GraphReport


def document(reports: Sequence[GraphReport], version: tuple[int, ...]) -> dict[str, Any]:
    """Every finding, by graph, for JSON."""
    return {
        "tensorrt": dotted(version),
        "passed": not any(report.refused for report in reports),
        "graphs": [to_plain(report) for report in reports],
    }


def lines(reports: Sequence[GraphReport], version: tuple[int, ...]) -> Iterator[str]:
    """A line for each finding, and the verdict."""
    for report in reports:
        for finding in report.findings:
            yield _line(report, finding)
    name = f"TensorRT {dotted(version)}"
    taken = [f"{report.file} ({_count(report.nodes, 'node')})" for report in reports if not report.refused]
    if taken:
        yield f"{name} would take every node of {', '.join(taken)}."
    for report in reports:
        if report.refused:
            yield f"FAILED: {name} would refuse {report.file}, for {_count(len(report.refused), 'reason')}."


def _line(report: GraphReport, finding: Finding) -> str:
    what = f"{_printable(finding.node)} ({_printable(finding.operator)})"
    return f"{finding.severity.value}: {report.file}: {what}: {_printable(finding.reason)}; {finding.remedy}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _printable(text: str) -> str:
    """Names come from the file: whatever they hold, a finding stays one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
