"""What `verify --reference` says of pictures: a table, the worst sample of each precision, and its images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from runtime.bundle import Bundle
from runtime.parity.picture import PictureComparison, PictureFigures, SampleFigures, WorstSample
from runtime.parity.samples import Sample, cut_points, samples_for_all_cuts
from runtime.parity.views import Views
from runtime.verification import Pictures, Scales
from stylegan_edge.against_reference import worst_prefix
from stylegan_edge.display import print_table
from stylegan_edge.draw_again import draw_again

COLUMNS = (
    "precision", "samples", "drawings", "levels max", "mean", "50%", "90%", "99%", "99.9%", "PSNR of 8 bits",
    "SSIM mean", "least", "perceptual", "most",
)  # fmt: skip
"""Of the table, whose cells are `picture_cells`."""


def print_pictures(bundle: Bundle, comparisons: Sequence[PictureComparison]) -> None:
    """The table, and for each precision its worst sample with its figures and the command that draws it again."""
    rows = [picture_cells(comparison.figures()) for comparison in comparisons]
    print_table("In the picture's own terms", COLUMNS, rows)
    for comparison in comparisons:
        worst = comparison.worst
        click.echo(f"Worst {worst.precision}: {describe_sample(worst.sample)}; {describe_place(worst)}.")
        click.echo(f"  {describe_figures(worst.figures)}")
        command = draw_again(bundle.path, bundle.spec, bundle.manifest.options, worst.sample, worst.precision)
        if command is not None:
            click.echo(f"  {command}")


def pictures_of(
    bundle: Bundle, comparisons: Sequence[PictureComparison], shown: Mapping[str, Views]
) -> tuple[Pictures, ...]:
    """The same as records, with the scales of the pictures that were made."""
    return tuple(_pictures(bundle, item.figures(), item.worst, shown.get(item.worst.precision)) for item in comparisons)


def describe_plan(bundle: Bundle, plan: Sequence[Sample]) -> str:
    """What a plan covers, in words."""
    cuts = cut_points(bundle.spec, bundle.manifest.options)
    covered = len({sample.cut for sample in plan if sample.mixed})
    told = [f"psi {min(item.psi for item in plan):g} to {max(item.psi for item in plan):g}"]
    if cuts:
        more = f" (all with --samples {samples_for_all_cuts(bundle.spec, bundle.manifest.options)})"
        told.append(f"{covered} of {len(cuts)} mixing cuts{more if covered < len(cuts) else ''}")
    if bundle.spec.c_dim:
        told.append(f"{len({sample.label for sample in plan})} of {bundle.spec.c_dim} labels")
    if bundle.spec.noise_inputs:
        told.append(f"noise {', '.join(sorted({_noise_kind(sample) for sample in plan}))}")
    return ", ".join(told)


def describe_sample(sample: Sample) -> str:
    """A sample in words."""
    told = [f"seed{'s' * (len(sample.seeds) > 1)} {', '.join(str(seed) for seed in sample.seeds)}"]
    if sample.mixed:
        told.append(f"rows from {sample.cut} on of seed {sample.second}")
    told.append(f"psi {sample.psi:g}" + ("" if sample.cutoff is None else f" with cutoff {sample.cutoff}"))
    if sample.label is not None:
        told.append(f"class {sample.label}")
    told.append(f"noise {sample.noise}" if isinstance(sample.noise, str) else f"noise of seed {sample.noise}")
    if sample.transform is not None:
        degrees, x, y = sample.transform
        told.append(f"turned by {degrees:g} degrees and moved by {x:g},{y:g}")
    return ", ".join(told)


def describe_figures(figures: SampleFigures) -> str:
    """Its figures in words."""
    levels = figures.levels
    told = [f"levels {levels.max} at most, {levels.mean:.1e} in the mean"]
    told.append(f"50/90/99/99.9 % within {levels.p50}/{levels.p90}/{levels.p99}/{levels.p99_9}")
    told.append(
        f"PSNR {_decibels(figures.psnr)}, of 8 bits {_decibels(figures.psnr_8bit)}" if figures.finite else "NaN"
    )
    told.append(f"SSIM {figures.ssim:.7f}")
    if figures.perceptual is not None:
        told.append(f"perceptual distance {figures.perceptual:.2e}")
    return "; ".join(told)


def describe_views(folder: Path, precision: str, shown: Views) -> str:
    """Where the pictures are, and what their colours mean."""
    return (
        f"Pictures of the worst {precision} image: {folder / worst_prefix(precision)}-*.png, difference "
        f"x{shown.difference.gain}, heat up to {shown.heat.top:.2g} levels."
    )


def _pictures(bundle: Bundle, figures: PictureFigures, worst: WorstSample, shown: Views | None) -> Pictures:
    command = draw_again(bundle.path, bundle.spec, bundle.manifest.options, worst.sample, worst.precision)
    scales = None if shown is None else Scales(shown.difference.gain, shown.heat.top)
    fields = {field.name: getattr(figures, field.name) for field in dataclasses.fields(figures)}
    return Pictures(**fields, worst=worst, command=command, pictures=scales)


def picture_cells(item: PictureFigures) -> list[str]:
    """The figures of one precision."""
    levels = item.levels
    return [
        item.precision,
        str(item.samples),
        str(item.drawings),
        str(levels.max),
        f"{levels.mean:.0e}",
        *(str(level) for level in (levels.p50, levels.p90, levels.p99, levels.p99_9)),
        "same" if item.psnr_8bit is None else f"{item.psnr_8bit:.0f}",
        f"{item.ssim_mean:.6f}",
        f"{item.ssim_min:.6f}",
        "-" if item.perceptual_mean is None else f"{item.perceptual_mean:.1e}",
        "-" if item.perceptual_max is None else f"{item.perceptual_max:.1e}",
    ]


def describe_place(worst: WorstSample) -> str:
    """Which graph drew it, and where in a batch."""
    drawing = worst.drawing
    return f"graph {drawing.graph}, batch {drawing.batch}, position {drawing.position}"


def _noise_kind(sample: Sample) -> str:
    return sample.noise if isinstance(sample.noise, str) else "fresh"


def _decibels(ratio: float | None) -> str:
    return "same" if ratio is None else f"{ratio:.1f} dB"
