"""`stylegan-edge verify`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_edge.distribution import DistributionCheck, DistributionOptions, distribution_options
from stylegan_edge.layers import LayerCheck, LayerOptions, layer_options
from stylegan_edge.options import BUNDLE, JSON, SeedList, running_options

if TYPE_CHECKING:
    from runtime.backends import BackendName, RunOptions
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
@layer_options
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
    layers: LayerOptions,
) -> int:
    """Check BUNDLE: every file's sha256, then its images against the stored ones. Exits with 1 where one differs."""
    from runtime import Bundle
    from runtime.backends import BackendName, RunOptions
    from runtime.verify import default_batches
    from stylegan_edge.display import print_json, status

    opened = Bundle(bundle)
    options = RunOptions(threads=threads, gpu=gpu)
    sizes = batches or default_batches(opened.spec)
    with status(f"Verifying {bundle}"):
        check = DistributionCheck.begin(asked, opened, reference, seed, options)
        run = Run(opened, reference, samples, seed, check, LayerCheck.begin(layers, opened, reference))
        for name in _precisions(opened, BackendName(backend), precision):
            run.add(name, BackendName(backend), options, sizes, needed=precision is not None)
    if as_json:
        print_json(run.document())
    else:
        run.print()
    return 0 if run.passed else 1


@dataclass
class Run:
    """What was checked, precision by precision, and what came out."""

    bundle: Bundle
    reference: Path | None
    samples: int
    seed: int
    distribution: DistributionCheck | None
    layers: LayerCheck | None
    figures: list[Figures] = field(default_factory=list)
    ran: dict[str, tuple[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(
        self, precision: str, backend: BackendName, options: RunOptions, batches: Sequence[int], needed: bool
    ) -> None:
        """Check one precision; one that can't run here is noted, unless it is `needed` or float32."""
        from runtime.errors import BackendUnavailableError
        from runtime.graphs import OpenGraphs
        from runtime.parity import FP32
        from runtime.verify import verify_golden

        try:
            graphs = OpenGraphs.open(self.bundle, backend, options, precision)
        except BackendUnavailableError as error:
            if needed or precision == FP32:
                raise
            self.missing[precision] = str(error)
            return
        with closing(graphs):
            self.figures += verify_golden(self.bundle, graphs, batches)
            if self.reference is not None:
                self.figures += _against_reference(
                    self.bundle, graphs, self.reference, batches, self.samples, self.seed
                )
            if self.layers is not None:
                self.layers.add(graphs)
            if self.distribution is not None:
                self.distribution.add(self.bundle, graphs)
            self.ran[precision] = (graphs.synthesis.backend.value, graphs.synthesis.device)

    @property
    def alike(self) -> bool:
        """Whether all images are the right ones, and all layers."""
        from runtime.parity import all_passed

        return all_passed(self.figures) and (self.layers is None or self.layers.passed)

    @property
    def passed(self) -> bool:
        """Whether nothing that was checked is off."""
        return self.alike and (self.distribution is None or self.distribution.passed)

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        from stylegan_edge.display import figures_document

        return {
            "bundle": str(self.bundle.path),
            "passed": self.passed,
            "ran": [{"precision": name, "backend": one, "device": on} for name, (one, on) in self.ran.items()],
            "not_checked": self.missing,
            "reference": None if self.reference is None else str(self.reference),
            "samples": self.samples,
            "seed": self.seed,
            "figures": figures_document(self.figures),
            "layers": None if self.layers is None else self.layers.document(),
            "distribution": None if self.distribution is None else self.distribution.document(),
        }

    def print(self) -> None:
        """Tables, then the verdict."""
        from stylegan_edge.display import print_figures

        print_figures(self.figures)
        for part in (self.layers, self.distribution):
            if part is not None:
                part.print()
        count = len(self.bundle.manifest.files)
        click.echo(f"Files: {count} of {count} have the sha256 they left with.")
        if self.reference is not None:
            click.echo(f"Reference: {self.reference}, {self.samples} samples from seed {self.seed}.")
        for name, reason in self.missing.items():
            click.echo(f"Not checked, since it can't run here: {name}: {reason}")
        verdict = "the images are the right ones" if self.alike else "FAILED: the images differ"
        where = "; ".join(f"{name} with {one} on {on}" for name, (one, on) in self.ran.items())
        equal = self.distribution is None or self.distribution.passed
        click.echo(f"{where}: {verdict}{'' if equal else ', and their distribution is another'}.")


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
