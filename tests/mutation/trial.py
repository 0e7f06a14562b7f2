"""A mutant on trial: is it caught by golden samples alone, and which layer is named?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runtime import Bundle
from runtime.backends import BackendName, RunOptions
from runtime.bundle import graph_key
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.reference import LayerReference, StoredProbes
from runtime.layers.reports import Cause, LayerReport, Suspect
from runtime.layers.verify import verify_layers
from runtime.parity import FP32
from runtime.verify import verify_golden
from tests.broken import broken
from tests.mutation.graph import Patient
from tests.mutation.mutant import Mutant
from tests.mutation.networks import Network

BATCHES = (1, 2)
MEMORY = 1 << 30


@dataclass(frozen=True)
class Verdict:
    """What was said of a bundle: by `verify` (the figures that failed), and by comparing layers, with which evidence.

    `named` is "graph layer" of each graph that differs; `suspects` are those of the first.
    """

    failures: tuple[str, ...]
    named: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    by_probes: tuple[str, ...]
    suspects_by_probes: tuple[Suspect, ...]

    @property
    def caught(self) -> bool:
        """By golden samples alone."""
        return bool(self.failures)

    def names(self, mutant: Mutant) -> bool:
        """Whether the mutant's layer was named, by all values, and nothing of another graph."""
        return self.named == (f"{mutant.graph} {mutant.layer}",)

    def names_by_probes(self, mutant: Mutant) -> bool:
        """The same by what a bundle keeps."""
        return self.by_probes == (f"{mutant.graph} {mutant.layer}",)

    def suspects_first(self, cause: Cause) -> bool:
        """Whether a cause was the likeliest, by all values."""
        return bool(self.suspects) and self.suspects[0].cause is cause


def try_out(network: Network, mutant: Mutant, folder: Path, probes: bool = True) -> Verdict:
    """What is said of a mutant, made in a folder. Of its bundle's other graphs the pipeline is known to be sound."""
    bundle = operate(network, mutant, folder)
    return judge(network, bundle, mutant.precision, probes, pipeline=mutant.graph == "pipeline")


def operate(network: Network, mutant: Mutant, folder: Path) -> Bundle:
    """A copy of the bundle with the mutant in place, and a manifest that says so: no checksum gives it away."""
    key = graph_key(mutant.graph, mutant.precision)
    return broken(network.bundle, folder, key, lambda model: mutant.change(Patient(model, network.checkpoint)))


def judge(
    network: Network, bundle: Bundle, precision: str = FP32, probes: bool = True, pipeline: bool = True
) -> Verdict:
    """Verify a bundle, and compare its layers with the network's and, with `probes`, what the bundle keeps of them.

    Without `pipeline` its pipeline graph is left alone.
    """
    golden = GoldenInputs.of(bundle)
    options = RunOptions(threads=1)
    opened = OpenGraphs.open(bundle, BackendName.ONNXRUNTIME, options, precision, pipeline, split=False)
    with closing(opened) as graphs:
        figures = verify_golden(bundle, graphs, BATCHES)
        whole = _differing(golden, graphs, network.reference_of(golden))
        probed = _differing(golden, graphs, StoredProbes(golden)) if probes else []
    failures = (f"{item.graph}, batch {item.batch}: {item.failures()[0]}" for item in figures if not item.passed)
    return Verdict(tuple(failures), _names(whole), _suspects(whole), _names(probed), _suspects(probed))


def _differing(golden: GoldenInputs, graphs: OpenGraphs, reference: LayerReference) -> list[LayerReport]:
    return [report for report in verify_layers(golden, graphs, reference, MEMORY) if not report.passed]


def _names(reports: Sequence[LayerReport]) -> tuple[str, ...]:
    return tuple(f"{report.graph} {report.first}" for report in reports)


def _suspects(reports: Sequence[LayerReport]) -> tuple[Suspect, ...]:
    return reports[0].suspects if reports else ()
