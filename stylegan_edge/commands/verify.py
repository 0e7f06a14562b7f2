"""`stylegan-edge verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.options import BUNDLE, JSON, SeedList, running_options

if TYPE_CHECKING:
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
@running_options
@JSON
def command(
    bundle: Path,
    reference: Path | None,
    samples: int,
    seed: int,
    batches: list[int] | None,
    backend: str,
    gpu: int,
    threads: int | None,
    as_json: bool,
) -> int:
    """Check BUNDLE: every file's sha256, then its images against the stored ones. Exits with 1 where one differs."""
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.graphs import OpenGraphs
    from runtime.parity import all_passed
    from runtime.verify import default_batches, verify_golden
    from stylegan_edge.display import figures_document, print_figures, print_json, status

    opened = Bundle(bundle)
    graphs = OpenGraphs.open(opened, BackendName(backend), RunOptions(threads=threads, gpu=gpu))
    click.get_current_context().call_on_close(graphs.close)
    sizes = batches or default_batches(opened.spec)
    with status(f"Verifying {bundle}"):
        figures = verify_golden(opened, graphs, sizes)
        if reference is not None:
            figures += _against_reference(opened, graphs, reference, sizes, samples, seed)
    passed = all_passed(figures)
    if as_json:
        print_json(
            {
                "bundle": str(bundle),
                "passed": passed,
                "backend": graphs.synthesis.backend.value,
                "device": graphs.synthesis.device,
                "reference": None if reference is None else str(reference),
                "samples": samples,
                "seed": seed,
                "figures": figures_document(figures),
            }
        )
    else:
        print_figures(figures)
        click.echo(
            f"Files: {len(opened.manifest.files)} of {len(opened.manifest.files)} have the sha256 they left with."
        )
        if reference is not None:
            click.echo(f"Reference: {reference}, {samples} samples from seed {seed}.")
        verdict = "the images are the right ones" if passed else "FAILED: the images differ"
        click.echo(f"{graphs.synthesis.backend.value} on {graphs.synthesis.device}: {verdict}.")
    return 0 if passed else 1


def _against_reference(
    bundle: Bundle, graphs: OpenGraphs, reference: Path, batches: Sequence[int], samples: int, seed: int
) -> list[Figures]:
    from runtime.extras import require

    require("torch")
    from exporter import load_checkpoint
    from exporter.verify import verify_reference

    return verify_reference(bundle, load_checkpoint(reference), graphs, batches, samples, seed)
