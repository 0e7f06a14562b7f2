"""`stylegan-edge verify`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.distribution import DistributionOptions, distribution_options
from stylegan_edge.layers import LayerOptions, layer_options
from stylegan_edge.options import (
    BUNDLE,
    FORCE,
    JSON,
    RememberingCommand,
    SeedList,
    command_line,
    running_options,
)

if TYPE_CHECKING:
    from runtime.backends import BackendName
    from runtime.bundle import Bundle


def _print_schema(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if asked:
        from runtime.verification import document_schema
        from stylegan_edge.display import print_json

        print_json(document_schema())
        ctx.exit()


@click.command("verify", cls=RememberingCommand)
@BUNDLE
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT",
    help="Compare with PyTorch over fresh random inputs.",
)
@click.option(
    "--samples", type=click.IntRange(1, 65_536), default=16, show_default=True, help="Images with --reference."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of those images.")
@click.option(
    "--lpips",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx",
    help="With --reference: measure a perceptual distance too, by this network of two images.",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With --reference: write the worst image of each precision, the reference's, and their difference.",
)
@click.option(
    "--batch", "batches", type=SeedList(), metavar="LIST", help="Batch sizes [default: 1,2,3,8; 1,2 above 256 px]."
)
@click.option("--precision", metavar="LIST", help="Precisions to check [default: all that BUNDLE has].")
@layer_options
@distribution_options
@running_options
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write all of it as a page with plots and pictures, and as JSON beside it.",
)
@FORCE
@JSON
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of what --json prints and --report writes, and exit.",
)
def command(
    bundle: Path,
    reference: Path | None,
    samples: int,
    lpips: Path | None,
    pictures: Path | None,
    seed: int,
    batches: list[int] | None,
    precision: str | None,
    backend: str,
    gpu: int,
    threads: int | None,
    report: Path | None,
    force: bool,
    as_json: bool,
    asked: DistributionOptions,
    layers: LayerOptions,
) -> int:
    """Check BUNDLE: every file's sha256, then its images against the stored ones. Exits with 1 where one differs."""
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.images import open_image_folder
    from runtime.verification import document_of
    from runtime.verify import default_batches
    from stylegan_edge.against_reference import check_reference_given, worst_names, write_worst
    from stylegan_edge.display import print_json, status
    from stylegan_edge.verify_run import VerifyRun

    check_reference_given(reference, lpips, pictures)
    opened = Bundle(bundle)
    options = RunOptions(threads=threads, gpu=gpu)
    sizes = batches or default_batches(opened.spec)
    names = _precisions(opened, BackendName(backend), precision)
    run = VerifyRun(opened, reference, samples, seed, lpips, with_golden=report is not None)
    with ExitStack() as stack:
        folder = None
        if pictures is not None:  # refused before the work, where it could not be written after
            folder = stack.enter_context(open_image_folder(pictures, worst_names(names), overwrite=force))
        write_report = None
        if report is not None:
            from stylegan_edge.verify_report import open_report

            write_report = stack.enter_context(open_report(report, force))
        stack.enter_context(status(f"Verifying {bundle}"))
        run.begin(sizes, layers, asked, options)
        for name in names:
            run.add(name, BackendName(backend), options, sizes, needed=precision is not None)
        if folder is not None and run.against is not None:
            run.shown = write_worst(folder, run.against.pictures)
        found = run.verification(command_line(), gpu)
        if write_report is not None:
            write_report(run.report(found))
    if as_json:
        print_json(document_of(found))
    else:
        run.print(pictures)
        if report is not None:
            click.echo(f"Report: {report}, and the same figures in {report.with_suffix('.json')}")
    return 0 if found.passed else 1


def _precisions(bundle: Bundle, backend: BackendName, text: str | None) -> list[str]:
    """Those asked for, or all graphs'. Raises InputError for one that the backend can't draw the bundle in."""
    from runtime.backends.precisions import check_precisions

    names = bundle.precisions if text is None else [name.strip() for name in text.split(",")]
    check_precisions(bundle, backend, names)
    return names
