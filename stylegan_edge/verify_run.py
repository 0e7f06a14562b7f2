"""What `verify` checks, precision by precision, and what it says of that."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.backends import BackendName, RunOptions
from runtime.bench.machine import read_machine
from runtime.bundle import Bundle
from runtime.errors import BackendUnavailableError
from runtime.golden import GoldenInputs
from runtime.golden.pictures import GoldenPictures
from runtime.graphs import OpenGraphs
from runtime.parity import FP32, Figures, all_passed
from runtime.parity.views import Views
from runtime.verification import SCHEMA_VERSION, Ran, Verification
from runtime.verify import unseen, verify_golden
from stylegan_edge.against_reference import AgainstReference, read_reference
from stylegan_edge.display import print_figures
from stylegan_edge.distribution import DistributionCheck, DistributionOptions
from stylegan_edge.layers import LayerCheck, LayerOptions
from stylegan_edge.picture_report import describe_plan, describe_views, pictures_of, print_pictures

if TYPE_CHECKING:
    from stylegan_edge.verify_report import ReportFile


@dataclass
class VerifyRun:
    """What was asked for, and what came out.

    `against`, `layers` and `distribution` are None where they were not asked for. `ran` has the backend and device of a
    precision, `missing` why one could not be run, `shown` the pictures that were written. `golden` has the golden
    images of each precision, where `with_golden` says that they will be shown.
    """

    bundle: Bundle
    reference: Path | None
    samples: int
    seed: int
    perceptual_network: Path | None
    with_golden: bool
    against: AgainstReference | None = None
    layers: LayerCheck | None = None
    distribution: DistributionCheck | None = None
    figures: list[Figures] = field(default_factory=list)
    ran: dict[str, tuple[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Views] = field(default_factory=dict)
    golden: dict[str, GoldenPictures] = field(default_factory=dict)

    def begin(
        self, batches: Sequence[int], layers: LayerOptions, distribution: DistributionOptions, options: RunOptions
    ) -> None:
        """Open what the graphs are compared with. The checkpoint is read once for all of it, and let go of here."""
        checkpoint = None
        if self.reference is not None:
            checkpoint = read_reference(self.reference)
            self.against = AgainstReference(
                self.bundle, checkpoint, batches, self.samples, self.seed, self.perceptual_network, options.threads
            )
        self.layers = LayerCheck.begin(layers, self.bundle, checkpoint)
        self.distribution = DistributionCheck.begin(distribution, self.bundle, checkpoint, self.seed, options)

    def add(
        self, precision: str, backend: BackendName, options: RunOptions, batches: Sequence[int], needed: bool
    ) -> None:
        """Check one precision. What can't run here is an error where it is float32 or `needed`, else noted."""
        try:
            graphs = OpenGraphs.open(self.bundle, backend, options, precision)
        except BackendUnavailableError as error:
            if needed or precision == FP32:
                raise
            self.missing[precision] = str(error)
            return
        with closing(graphs):
            if self.with_golden:
                self.golden[precision] = GoldenPictures(GoldenInputs.of(self.bundle))
            self.figures += verify_golden(self.bundle, graphs, batches, self.golden.get(precision, unseen))
            if self.against is not None:
                self.figures += self.against.compare(graphs)
            if self.layers is not None:
                self.layers.add(graphs)
            if self.distribution is not None:
                self.distribution.add(self.bundle, graphs)
            self.ran[precision] = (graphs.synthesis.backend.value, graphs.synthesis.device)

    def verdict(self) -> str:
        """What came out, in words."""
        told = ["the images are the right ones" if all_passed(self.figures) else "FAILED: the images differ"]
        if self.layers is not None and not self.layers.passed:
            told.append("FAILED: a layer differs")
        if self.distribution is not None and not self.distribution.passed:
            told.append("FAILED: their distribution is another")
        return "; ".join(told)

    def verification(self, command: str, gpu: int) -> Verification:
        """All of it. `command` is what was called, `gpu` the number of the GPU that it could use."""
        network = self.perceptual_network
        return Verification(
            schema_version=SCHEMA_VERSION,
            bundle=str(self.bundle.path),
            checkpoint=self.bundle.manifest.provenance,
            files=len(self.bundle.manifest.files),
            command=command,
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            environment=read_machine(gpu),
            ran=tuple(Ran(name, backend, device) for name, (backend, device) in self.ran.items()),
            not_checked=self.missing,
            reference=None if self.reference is None else str(self.reference),
            samples=self.samples,
            seed=self.seed,
            perceptual_network=None if network is None else str(network),
            figures=tuple(self.figures),
            pictures=() if self.against is None else pictures_of(self.bundle, self.against.pictures, self.shown),
            layers=None if self.layers is None else tuple(self.layers.reports),
            distribution=None if self.distribution is None else self.distribution.outcome(),
        )

    def report(self, verification: Verification) -> ReportFile:
        """The same to look at."""
        from stylegan_edge.report_pictures import golden_images, worst_samples
        from stylegan_edge.verify_report import ReportFile

        pictures = [] if self.against is None else worst_samples(self.bundle, self.against.pictures)
        for precision, golden in self.golden.items():
            pictures += golden_images(precision, golden)
        covered = None if self.against is None else describe_plan(self.bundle, self.against.plan)
        return ReportFile(verification, f"{self.where()}: {self.verdict().replace('FAILED: ', '')}", covered, pictures)

    def where(self) -> str:
        """What drew the images."""
        return "; ".join(f"{name} with {one} on {on}" for name, (one, on) in self.ran.items())

    def print(self, folder: Path | None) -> None:
        """Tables, then the verdict; `folder` is where pictures were written."""
        print_figures(self.figures)
        if self.against is not None:
            print_pictures(self.bundle, self.against.pictures)
            for name, views in self.shown.items():
                click.echo(describe_views(folder or Path(), name, views))
        for part in (self.layers, self.distribution):
            if part is not None:
                part.print()
        count = len(self.bundle.manifest.files)
        click.echo(f"Files: {count} of {count} have the sha256 they left with.")
        if self.against is not None:
            drawn = f"{self.reference}, {self.samples} samples from seed {self.seed}"
            click.echo(f"Reference: {drawn}: {describe_plan(self.bundle, self.against.plan)}.")
        for name, reason in self.missing.items():
            click.echo(f"Not checked, since it can't run here: {name}: {reason}")
        click.echo(f"{self.where()}: {self.verdict()}.")
