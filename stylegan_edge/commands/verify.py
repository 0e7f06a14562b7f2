"""`stylegan-edge verify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_edge.options import BUNDLE, FORCE, JSON, SeedList, running_options

if TYPE_CHECKING:
    from runtime.backends import BackendName, RunOptions
    from runtime.bundle import Bundle
    from runtime.parity import Figures
    from runtime.parity.views import Views
    from stylegan_edge.against_reference import AgainstReference


@click.command("verify")
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
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of those images.")
@click.option(
    "--batch", "batches", type=SeedList(), metavar="LIST", help="Batch sizes [default: 1,2,3,8; 1,2 above 256 px]."
)
@click.option("--precision", metavar="LIST", help="Precisions to check [default: all that BUNDLE has].")
@running_options
@FORCE
@JSON
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
    force: bool,
    as_json: bool,
) -> int:
    """Check BUNDLE: every file's sha256, then its images against the stored ones. Exits with 1 where one differs."""
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.images import open_image_folder
    from runtime.parity import all_passed
    from runtime.verify import default_batches
    from stylegan_edge.against_reference import AgainstReference, check_reference_given, worst_names, write_worst
    from stylegan_edge.display import print_json, status

    check_reference_given(reference, lpips, pictures)
    opened = Bundle(bundle)
    sizes = batches or default_batches(opened.spec)
    names = _precisions(opened, BackendName(backend), precision)
    with ExitStack() as stack:
        folder = None
        if pictures is not None:  # refused before the work, where it could not be written after
            folder = stack.enter_context(open_image_folder(pictures, worst_names(names), overwrite=force))
        stack.enter_context(status(f"Verifying {bundle}"))
        against = None
        if reference is not None:
            against = AgainstReference(opened, reference, sizes, samples, seed, len(names), lpips, threads)
        required = names if precision is not None else []
        options = RunOptions(threads=threads, gpu=gpu)
        checked = _check(opened, names, required, BackendName(backend), options, sizes, against)
        shown = {} if folder is None or against is None else write_worst(folder, against.pictures)
    if as_json:
        given = {"reference": reference, "samples": samples, "seed": seed, "perceptual_network": lpips}
        print_json(_document(opened, checked, given, against, shown))
    else:
        _print(opened, checked, against, f"{reference}, {samples} samples from seed {seed}", pictures, shown)
    return 0 if all_passed(checked.figures) else 1


@dataclass
class _Checked:
    """What was measured; by precision, the backend and device that ran it, or why nothing did."""

    figures: list[Figures]
    ran: dict[str, tuple[str, str]]
    missing: dict[str, str]


def _check(
    bundle: Bundle,
    precisions: Sequence[str],
    required: Sequence[str],
    backend: BackendName,
    options: RunOptions,
    batches: Sequence[int],
    against: AgainstReference | None,
) -> _Checked:
    """One precision after the other. What can't run here is an error where it is float32 or `required`."""
    from runtime.errors import BackendUnavailableError
    from runtime.graphs import OpenGraphs
    from runtime.parity import FP32
    from runtime.verify import verify_golden

    checked = _Checked([], {}, {})
    for name in precisions:
        try:
            graphs = OpenGraphs.open(bundle, backend, options, name)
        except BackendUnavailableError as error:
            if name in required or name == FP32:
                raise
            checked.missing[name] = str(error)
            continue
        with closing(graphs):
            checked.figures += verify_golden(bundle, graphs, batches)
            if against is not None:
                checked.figures += against.compare(graphs)
            checked.ran[name] = (graphs.synthesis.backend.value, graphs.synthesis.device)
    return checked


def _document(
    bundle: Bundle,
    checked: _Checked,
    given: Mapping[str, Any],
    against: AgainstReference | None,
    shown: Mapping[str, Views],
) -> dict[str, Any]:
    """Everything, for JSON."""
    from runtime.parity import all_passed
    from stylegan_edge.display import figures_document
    from stylegan_edge.picture_report import pictures_document

    return {
        "bundle": str(bundle.path),
        "passed": all_passed(checked.figures),
        "ran": [{"precision": name, "backend": one, "device": on} for name, (one, on) in checked.ran.items()],
        "not_checked": checked.missing,
        **{name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
        "figures": figures_document(checked.figures),
        "pictures": [] if against is None else pictures_document(bundle, against.pictures, shown),
    }


def _print(
    bundle: Bundle,
    checked: _Checked,
    against: AgainstReference | None,
    what: str,
    folder: Path | None,
    shown: Mapping[str, Views],
) -> None:
    """Everything, for people; `what` is what was compared with."""
    from runtime.parity import all_passed
    from stylegan_edge.display import print_figures
    from stylegan_edge.picture_report import describe_plan, describe_views, print_pictures

    print_figures(checked.figures)
    if against is not None:
        print_pictures(bundle, against.pictures)
        for name, views in shown.items():
            click.echo(describe_views(folder or Path(), name, views))
    files = len(bundle.manifest.files)
    click.echo(f"Files: {files} of {files} have the sha256 they left with.")
    if against is not None:
        click.echo(f"Reference: {what}: {describe_plan(bundle, against.plan)}.")
    for name, reason in checked.missing.items():
        click.echo(f"Not checked, since it can't run here: {name}: {reason}")
    verdict = "the images are the right ones" if all_passed(checked.figures) else "FAILED: the images differ"
    where = "; ".join(f"{name} with {one} on {on}" for name, (one, on) in checked.ran.items())
    click.echo(f"{where}: {verdict}.")


def _precisions(bundle: Bundle, backend: BackendName, text: str | None) -> list[str]:
    """Those asked for, or all graphs'. Raises InputError for one that the backend can't draw the bundle in."""
    from runtime.backends.precisions import precisions_on
    from runtime.errors import InputError

    known = precisions_on(bundle, backend)
    names = bundle.precisions if text is None else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{bundle.path}: has no precision {unknown[0][:20]!r}, only {', '.join(known)}")
    return names
