"""What others' tools say of two sets of arrays: NVIDIA's Polygraphy, and ONNX Runtime's debugger of quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RUNNER, REFERENCE = "onnxruntime", "reference"
"""Names of Polygraphy's runs."""


@dataclass(frozen=True)
class PolygraphyFigures:
    """What Polygraphy has of one output, in its own units: absolute differences, and dB."""

    max_abs: float
    mean_abs: float
    cosine: float
    psnr: float
    snr: float


def polygraphy_outputs(path: Path, inputs: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Run a graph by Polygraphy on ONNX Runtime, with `names` marked as its outputs."""
    from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.comparator import Comparator
    from polygraphy.logger import G_LOGGER

    marked = ModifyOutputs(OnnxFromPath(str(path)), outputs=list(names))
    runner = OnnxrtRunner(SessionFromOnnx(BytesFromOnnx(marked)), name=RUNNER)
    with G_LOGGER.verbosity(G_LOGGER.ERROR):
        return dict(Comparator.run([runner], data_loader=[dict(inputs)])[RUNNER][0].items())


def polygraphy_figures(
    reference: Mapping[str, np.ndarray], measured: Mapping[str, np.ndarray]
) -> dict[str, PolygraphyFigures]:
    """What Polygraphy's comparison functions measure of each output. The reference is the signal and the peak."""
    from polygraphy import comparator
    from polygraphy.logger import G_LOGGER

    results = comparator.RunResults()
    results.add([dict(reference)], runner_name=REFERENCE)
    results.add([{name: measured[name] for name in reference}], runner_name=RUNNER)
    functions = [
        comparator.SimpleCompareFunc(check_error_stat="max"),
        comparator.CosineSimilarityCompareFunc(),
        comparator.PsnrCompareFunc(),
        comparator.SnrCompareFunc(),
    ]
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL), np.errstate(divide="ignore", invalid="ignore"):
        compared = comparator.Comparator.compare_accuracy(results, compare_func=functions)
    simple, cosine, psnr, snr = (item[REFERENCE, RUNNER][0] for item in compared)
    return {
        name: PolygraphyFigures(
            max_abs=simple[name].max_absdiff,
            mean_abs=simple[name].mean_absdiff,
            cosine=cosine[name].cosine_similarity,
            psnr=psnr[name].psnr,
            snr=snr[name].snr,
        )
        for name in reference
    }


def write_for_polygraphy(inputs: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write inputs.json and reference.json for `polygraphy run`, and layers.txt, the names of the outputs."""
    from polygraphy.comparator import RunResults
    from polygraphy.json import save_json
    from polygraphy.logger import G_LOGGER

    results = RunResults()
    results.add([dict(reference)], runner_name=REFERENCE)
    with G_LOGGER.verbosity(G_LOGGER.ERROR):
        save_json([dict(inputs)], str(folder / "inputs.json"))
        results.save(str(folder / "reference.json"))
    (folder / "layers.txt").write_text(" ".join(reference) + "\n", encoding="utf-8")


def onnxruntime_ratio(reference: np.ndarray, measured: np.ndarray) -> float:
    """ONNX Runtime's signal to quantisation noise ratio, in dB: the reference's norm over the difference's.

    It sums in the type that it is given, so it is given float64: in float32 the norm of 200,000 values is 2e-6 off.
    """
    from onnxruntime.quantization.qdq_loss_debug import compute_signal_to_quantization_noice_ratio

    return float(compute_signal_to_quantization_noice_ratio(reference.astype(np.float64), measured.astype(np.float64)))


def onnxruntime_activations(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every float value of a graph, flat, as ONNX Runtime's debugger reads them: its optimisations are off."""
    from onnxruntime.quantization.qdq_loss_debug import collect_activations, modify_model_output_intermediate_tensors

    with tempfile.TemporaryDirectory() as folder:
        augmented = Path(folder) / "augmented.onnx"
        modify_model_output_intermediate_tensors(path, augmented)
        found: dict[str, Any] = collect_activations(str(augmented), [dict(inputs)])
    return {name: values[0] for name, values in found.items()}
