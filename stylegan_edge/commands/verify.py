"""`stylegan-edge verify`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.distribution import DistributionCheck, DistributionOptions, distribution_options
from stylegan_edge.options import BUNDLE, JSON, SeedList, running_options

if TYPE_CHECKING:
    from runtime.backends import BackendName
    from runtime.bundle import Bundle
    from runtime.graphs import OpenGraphs
    from runtime.parity import Figures


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
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of those images.")
@click.option(
    "--batch", "batches", type=SeedList(), metavar="LIST", help="Batch sizes [default: 1,2,3,8; 1,2 above 256 px]."
)
@click.option("--precision", metavar="LIST", help="Precisions to check [default: all that BUNDLE has].")
@distribution_options
@running_options
@JSON
def command(
    bundle: Path,
    reference: Path | None,
    samples: int,
    seed: int,
    batches: list[int] | None,
    precision: str | None,
    backend: str,
    gpu: int,
    threads: int | None,
    as_json: bool,
    asked: DistributionOptions,
) -> int:
    """Check BUNDLE: every file's sha256, then its images against the stored ones. Exits with 1 where one differs."""
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.errors import BackendUnavailableError
    from runtime.graphs import OpenGraphs
    from runtime.parity import FP32, all_passed
    from runtime.verify import default_batches, verify_golden
    from stylegan_edge.display import figures_document, print_figures, print_json, status

    opened = Bundle(bundle)
    options = RunOptions(threads=threads, gpu=gpu)
    sizes = batches or default_batches(opened.spec)
    figures: list[Figures] = []
    ran: dict[str, tuple[str, str]] = {}
    missing: dict[str, str] = {}
    with status(f"Verifying {bundle}"):
        check = DistributionCheck.begin(asked, opened, reference, seed, options)
        for name in _precisions(opened, BackendName(backend), precision):
            try:
                graphs = OpenGraphs.open(opened, BackendName(backend), options, name)
            except BackendUnavailableError as error:
                if precision is not None or name == FP32:
                    raise
                missing[name] = str(error)
                continue
            with closing(graphs):
                figures += verify_golden(opened, graphs, sizes)
                if reference is not None:
                    figures += _against_reference(opened, graphs, reference, sizes, samples, seed)
                if check is not None:
                    check.add(opened, graphs)
                ran[name] = (graphs.synthesis.backend.value, graphs.synthesis.device)
    passed = all_passed(figures)
    equal = check is None or check.passed
    if as_json:
        print_json(
            {
                "bundle": str(bundle),
                "passed": passed and equal,
                "ran": [{"precision": name, "backend": one, "device": on} for name, (one, on) in ran.items()],
                "not_checked": missing,
                "reference": None if reference is None else str(reference),
                "samples": samples,
                "seed": seed,
                "figures": figures_document(figures),
                "distribution": None if check is None else check.document(),
            }
        )
    else:
        print_figures(figures)
        if check is not None:
            check.print()
        click.echo(
            f"Files: {len(opened.manifest.files)} of {len(opened.manifest.files)} have the sha256 they left with."
        )
        if reference is not None:
            click.echo(f"Reference: {reference}, {samples} samples from seed {seed}.")
        for name, reason in missing.items():
            click.echo(f"Not checked, since it can't run here: {name}: {reason}")
        verdict = "the images are the right ones" if passed else "FAILED: the images differ"
        where = "; ".join(f"{name} with {one} on {on}" for name, (one, on) in ran.items())
        click.echo(f"{where}: {verdict}{'' if equal else '; FAILED: their distribution is another'}.")
    return 0 if passed and equal else 1


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


def _against_reference(
    bundle: Bundle, graphs: OpenGraphs, reference: Path, batches: Sequence[int], samples: int, seed: int
) -> list[Figures]:
    from runtime.extras import require

    require("torch")
    from exporter import load_checkpoint
    from exporter.verify import verify_reference

    return verify_reference(bundle, load_checkpoint(reference), graphs, batches, samples, seed)
