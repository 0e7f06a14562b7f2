"""Every known-answer network, exported and examined layer by layer: the table of docs/layers.md.

python -m benchmarks.layers
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.layers import NetworkReference
from runtime.backends import BackendName
from runtime.errors import ParityError
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.examine import free_memory
from runtime.layers.reports import LayerReport
from runtime.layers.verify import verify_layers
from runtime.parity import FP16, FP32, all_passed
from runtime.verify import default_batches, verify_golden
from tests.known_answers import available_cases

PRECISIONS = (FP32, FP16)
COLUMNS = ("case", "precision", "verify", "layers", "worst layer", "error (rms)", "of its limit", "channel", "value")


def main() -> None:
    """Print a row for each case and precision."""
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for case in available_cases():
        with tempfile.TemporaryDirectory() as folder:
            for row in _rows(case.name, case.checkpoint, Path(folder)):
                print("| " + " | ".join(row) + " |", flush=True)


def _rows(name: str, checkpoint: Checkpoint, folder: Path) -> list[list[str]]:
    try:
        bundle = export(checkpoint, folder / "bundle", PRECISIONS, pipeline=True)
    except ParityError:  # float16 that is too far off is not written
        bundle = export(checkpoint, folder / "bundle", pipeline=True)
    golden = GoldenInputs.of(bundle)
    reference = NetworkReference(checkpoint.completed().build(), golden)
    rows = []
    for precision in bundle.precisions:
        graphs = OpenGraphs.open(bundle, BackendName.ONNXRUNTIME, precision=precision, split=False)
        reports = verify_layers(golden, graphs, reference, free_memory())
        passed = all_passed(verify_golden(bundle, graphs, default_batches(bundle.spec)))
        graphs.close()
        rows.append([name, precision, "ok" if passed else "FAILED", *_worst(reports)])
    return rows


def _worst(reports: list[LayerReport]) -> list[str]:
    layers = [item for report in reports for item in report.layers]
    worst = max(layers, key=lambda item: item.rms / item.allowed.rms)
    return [
        "ok" if all(report.passed for report in reports) else "FAILED",
        worst.layer,
        f"{worst.rms:.1e}",
        f"{worst.rms / worst.allowed.rms:.0%}",
        f"{max(item.channel_rms / item.allowed.channel for item in layers):.0%}",
        f"{max(item.largest / item.allowed.largest for item in layers):.0%}",
    ]


if __name__ == "__main__":
    main()
