"""A verification as one HTML page that needs nothing else, and the JSON document beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

from runtime.errors import InputError
from runtime.extras import require
from runtime.layers.reports import LayerReport
from runtime.output import staged_files
from runtime.verification import Distributions, Verification, document_of
from stylegan_edge import distribution, layers
from stylegan_edge.display import FIGURE_COLUMNS, figure_cells
from stylegan_edge.layer_plot import alt_text, layer_plot
from stylegan_edge.page import bullets, command, heading, page, paragraph, plot, table
from stylegan_edge.picture_report import COLUMNS as PICTURE_COLUMNS
from stylegan_edge.picture_report import picture_cells
from stylegan_edge.plots import DARK, LIGHT
from stylegan_edge.report_pictures import MAX_SIDE, Shown, frames
from stylegan_edge.report_style import SCRIPT, STYLE

ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class ReportFile:
    """What the page shows. `covered` says what the fresh samples cover (None: there are none)."""

    verification: Verification
    verdict: str
    covered: str | None
    pictures: Sequence[Shown]


@contextmanager
def open_report(path: Path, overwrite: bool) -> Iterator[Callable[[ReportFile], None]]:
    """A page at `path` and the document beside it, both or neither. Yields what writes them.

    Before any work is done for it, raises InputError where the name is not one of a page, MissingDependencyError
    without Matplotlib, and OutputError where it can't be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: expected a name that ends in {ENDINGS[0]}; the figures stand beside it as .json")
    require("matplotlib")
    document = path.with_suffix(".json")
    with staged_files([path, document], overwrite) as write:

        def write_report(report: ReportFile) -> None:
            write(path, render(report).encode())
            write(document, (json.dumps(document_of(report.verification), indent=1, allow_nan=False) + "\n").encode())

        yield write_report


def render(report: ReportFile) -> str:
    """The page. Everything that comes from files and arguments is escaped."""
    verification = report.verification
    title = f"Verification of {Path(verification.bundle).name or verification.bundle}"
    parts = [heading(title, 1), _verdict(report), heading("What was compared with what"), bullets(_compared(report))]
    if verification.failures:
        parts += [heading("What is off"), bullets(verification.failures, "failed")]
    parts += [heading("How to reproduce"), _copyable(verification.command), heading("Environment")]
    parts += [_environment(verification), *_figures(verification)]
    if verification.layers is not None:
        parts.append(heading("Error by layer"))
        parts += [_layers(item) for item in sorted(verification.layers, key=lambda item: item.passed)]  # failed first
    if report.pictures:
        parts += [heading("Side by side"), paragraph(_about_pictures(report.pictures), "soft"), frames(report.pictures)]
    if verification.distribution is not None:
        parts += _distribution(verification.distribution)
    parts.append(paragraph(f"Made {verification.date}. The same figures as JSON stand beside this page.", "soft"))
    return page(title, parts, STYLE, SCRIPT)


def _verdict(report: ReportFile) -> str:
    verification = report.verification
    passed, figures = verification.passed, verification.figures
    within = sum(item.passed for item in figures)
    told = f"{report.verdict}. {within} of {len(figures)} comparisons of images are within their tolerances."
    word, kind = ("\u2713 Passed", "passed") if passed else ("\u2717 Failed", "bad")
    return f'<div class="verdict {kind}"><strong>{word}</strong>{paragraph(told)}</div>'


def _compared(report: ReportFile) -> list[str]:
    found = report.verification
    graphs = ", ".join(dict.fromkeys(item.graph for item in found.figures))
    lines = [
        f"{found.bundle}: graphs {graphs}, made of {found.checkpoint.checkpoint} "
        f"(sha256 {found.checkpoint.checkpoint_sha256})",
        *(f"{item.precision}: drawn by {item.backend} on {item.device}" for item in found.ran),
        *(f"{name} was not checked, since it can't run here: {reason}" for name, reason in found.not_checked.items()),
        "golden: what the PyTorch reference drew at export, stored in the bundle",
    ]
    if found.reference is not None:
        drawn = f"{found.samples} samples from seed {found.seed}"
        lines.append(f"reference: PyTorch with {found.reference}, {drawn}: {report.covered}")
    return [*lines, f"Files: {found.files} of {found.files} have the sha256 they left with"]


def _copyable(text: str) -> str:
    return f'<div class="copy">{command(text)}<button type="button">Copy</button></div>'


def _environment(verification: Verification) -> str:
    machine = verification.environment
    gpu = machine.gpu
    facts = {
        "System": machine.system,
        "Processor": f"{machine.processor}, {machine.cores} cores",
        "GPU": "none" if gpu is None else f"{gpu.name}, {gpu.memory >> 20:,} MiB, driver for CUDA {gpu.driver}",
        "Python": machine.python,
        "Packages": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    }
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in facts.items()) + "</dl>"


def _figures(verification: Verification) -> list[str]:
    found = verification.figures
    rows = [_judged(figure_cells(item), item.passed) for item in found]
    failed = [index for index, item in enumerate(found) if not item.passed]
    parts = [heading("Figures"), table(_judged(FIGURE_COLUMNS), rows, failed, "Measured / allowed")]
    if verification.pictures:
        shown = slice(None if verification.perceptual_network is not None else -2)
        cells = [picture_cells(item)[shown] for item in verification.pictures]
        parts += [heading("In the picture's own terms"), table(PICTURE_COLUMNS[shown], cells)]
    return parts


def _layers(report: LayerReport) -> str:
    rows = [_judged(cells, item.passed) for item, cells in zip(report.layers, layers.layer_cells(report))]
    failed = [index for index, item in enumerate(report.layers) if not item.passed]
    caption = "Relative to each layer's root mean square; measured / allowed"
    graph = plot(alt_text(report), layer_plot(report, LIGHT), layer_plot(report, DARK))
    told = bullets([line.strip() for line in layers.conclusions(report)], "" if report.passed else "failed")
    numbers = table(_judged(layers.COLUMNS), rows, failed, caption)
    return (
        f'{heading(layers.title_of(report), 3)}<div class="layers"><div>{graph}</div><div>{told}</div></div>'
        f"<details><summary>All layers as a table</summary>{numbers}</details>"
    )


def _about_pictures(pictures: Sequence[Shown]) -> str:
    told = "Left of the line is the reference, right of it what was measured; move the slider to wipe. "
    told += "Pictures are lossless."
    larger = any("means of" in line for shown in pictures for line in shown.lines if "whole image" in line)
    return told + (f" Images of more than {MAX_SIDE} px are shown in part, and whole in means." if larger else "")


def _distribution(found: Distributions) -> list[str]:
    rows = [_judged(distribution.distribution_cells(item), item.passed) for item in found.figures]
    failed = [index for index, item in enumerate(found.figures) if item.passed is False]
    about = (
        f"{found.samples:,} samples and {found.paths:,} paths of epsilon {found.epsilon:g} from seed {found.seed}, "
        f"by {found.distance}, against {found.reference}."
    )
    reasons = distribution.not_judged(found.figures).items()
    return [
        heading("Distribution"),
        paragraph(about),
        table(_judged(distribution.COLUMNS), rows, failed, "Difference against sampling error"),
        bullets([f"Not judged: {', '.join(names)}: {reason}" for reason, names in reasons]),
    ]


def _judged(cells: Sequence[str], passed: bool | str | None = "verdict") -> list[str]:
    """A row with its verdict behind its name, where a phone shows it too."""
    verdict = passed if isinstance(passed, str) else {True: "ok", False: "FAILED", None: "-"}[passed]
    return [cells[0], verdict, *cells[1:]]
