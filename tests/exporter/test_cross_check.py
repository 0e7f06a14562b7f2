"""Others' tools find in our graphs what we find: Polygraphy, ONNX Runtime's debugger, and ONNX's own evaluator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from benchmarks.cross_check import (
    PIXELS,
    SYNTHESIS,
    Case,
    compare_all,
    compare_debugger,
    make_case,
    verify_report,
)
from benchmarks.other_comparers import polygraphy_outputs, write_for_polygraphy
from exporter import export
from exporter.networks import ReferenceNetwork
from runtime import Bundle
from runtime.golden import GoldenInputs
from runtime.layers.compare import allowed
from runtime.layers.marked import IMAGE
from runtime.layers.probes import PROBED_IMAGES
from runtime.parity import FP16, FP32, INT8
from tests.broken import broken, rename_inputs
from tests.tiny import tiny_checkpoint, tiny_stylegan1_spec, tiny_stylegan3_spec

pytest.importorskip("polygraphy")

AGREEMENT = 1e-6
"""Relative difference between two tools' figures of the same arrays: what sums in float32 cost Polygraphy."""
ROUNDING = 1e-6
"""Of an image's range, between two executors in float32, times what the specification says that a generation rounds
more. Measured at 0.2e-6 (StyleGAN, StyleGAN2) and 1.8e-6 (StyleGAN3, of 3e-6)."""
SNR = -20 * math.log10(allowed(FP32, 1.0).rms)
"""What `verify` allows a StyleGAN2's float32 layer, in dB: 106."""

CHECKPOINTS = {
    "StyleGAN2": tiny_checkpoint(),
    "StyleGAN that fades": tiny_checkpoint(tiny_stylegan1_spec(channels=(6, 5), lod=0.4)),
    "StyleGAN3-r with added channels": tiny_checkpoint(tiny_stylegan3_spec(radial=True, channels=(208, 13))),
}
PRECISIONS = {"StyleGAN2": (FP32, FP16, INT8)}


@dataclass(frozen=True)
class Network:
    bundle: Bundle
    reference: ReferenceNetwork
    case: Case


@pytest.fixture(scope="module", params=CHECKPOINTS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Network:
    checkpoint = CHECKPOINTS[request.param]
    folder = tmp_path_factory.mktemp("cross") / "bundle"
    bundle = export(checkpoint, folder, precisions=PRECISIONS.get(request.param, (FP32,)))
    reference = checkpoint.completed().build()
    return Network(bundle, reference, make_case(bundle, reference))


only_stylegan2 = pytest.mark.parametrize("network", ["StyleGAN2"], indirect=True)


def test_figures_are_polygraphys_and_onnxruntimes(network: Network) -> None:
    case = network.case
    for precision in network.bundle.precisions:
        path = network.bundle.graph_path(SYNTHESIS, precision)
        measured = polygraphy_outputs(path, case.inputs, list(case.reference))
        rows = list(compare_all(case, precision, measured, verify_report(case, network.reference, precision)))
        assert {row.output for row in rows} == {*case.layers.values(), IMAGE, PIXELS}
        for row in rows:
            assert row.disagreement <= AGREEMENT, row
        errors = [row for row in rows if row.figure == "error (rms)"]
        assert len(errors) == len(case.layers)
        assert all(row.ours > 0 and row.onnxruntime is not None and row.verify is not None for row in errors)
        if precision != FP16:  # there, ONNX Runtime rounds what `verify` reads: see docs/cross-check.md
            assert all(row.off(row.verify) <= AGREEMENT for row in rows)


@pytest.mark.parametrize("network", ["StyleGAN3-r with added channels"], indirect=True)
def test_added_channels_are_zeros(network: Network) -> None:
    case = network.case
    widths = {value: case.reference[value].shape[1] - item.channels for item, value in case.layers.items()}
    assert max(widths.values()) == 6
    measured = polygraphy_outputs(network.bundle.graph_path(SYNTHESIS), case.inputs, list(widths))
    for item, value in case.layers.items():
        assert not measured[value][:, item.channels :].any()


def _polygraphy_run(bundle: Bundle, case: Case, folder: Path) -> tuple[int, dict[str, bool], dict[str, float]]:
    """`polygraphy run` of docs/cross-check.md: its exit code, and of each layer the verdict and SNR in dB."""
    from polygraphy.comparator import AccuracyResults
    from polygraphy.tools import main

    folder.mkdir()
    write_for_polygraphy(case.inputs, case.reference, folder)
    files = {name: str(folder / name) for name in ("inputs.json", "reference.json", "found.json")}
    arguments = ["run", str(bundle.graph_path(SYNTHESIS)), "--onnxrt", "--load-inputs", files["inputs.json"]]
    arguments += ["--load-outputs", files["reference.json"], "--save-accuracy-results", files["found.json"]]
    arguments += ["--onnx-outputs", *(folder / "layers.txt").read_text().split()]
    status = main([*arguments, "--compare", "snr", "--snr-threshold", f"{SNR:.2f}", f"{PIXELS}:30"])
    (runs,) = AccuracyResults.load(files["found.json"])
    ((found,),) = runs.values()
    return status, {name: bool(item) for name, item in found.items()}, {name: item.snr for name, item in found.items()}


@only_stylegan2
def test_its_command_says_the_same(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, verdicts, ratios = _polygraphy_run(network.bundle, network.case, tmp_path / "cross")
    assert status == 0
    assert all(verdicts.values())
    report = verify_report(network.case, network.reference, FP32)
    for figures, (item, value) in zip(report.layers, network.case.layers.items()):
        assert figures.layer == item.name
        # The command takes its own run for the signal, ours is the reference: in float32 that is nothing.
        assert 10 ** (-ratios[value] / 20) == pytest.approx(figures.rms, rel=AGREEMENT)
    assert "PASSED | SNR | All outputs matched" in capsys.readouterr().out


@only_stylegan2
@pytest.mark.parametrize("layer", ["b8.conv0", "b16.conv1"])
def test_it_names_the_same_first_wrong_layer(network: Network, layer: str, tmp_path: Path) -> None:
    noise = {"b8.conv0": {"noise_01": "noise_02", "noise_02": "noise_01"}, "b16.conv1": {"noise_04": "noise_03"}}
    wrong = broken(network.bundle, tmp_path / "bundle", SYNTHESIS, rename_inputs(noise[layer]))
    status, verdicts, _ = _polygraphy_run(wrong, network.case, tmp_path / "cross")
    assert status == 1
    assert next(name for name, passed in verdicts.items() if not passed) == layer
    case = make_case(wrong, network.reference)
    report = verify_report(case, network.reference, FP32)
    assert report.first == layer
    ours = {figures.layer for figures in report.layers if not figures.passed}
    assert ours == {item.name for item, value in case.layers.items() if not verdicts[value]}


@only_stylegan2
@pytest.mark.parametrize("precision", [FP16, INT8])
def test_onnxruntimes_debugger_agrees_on_its_own_runs(network: Network, precision: str) -> None:
    rows = list(compare_debugger(network.bundle, precision))
    assert len(rows) == len(network.case.layers)
    for row in rows:
        assert row.ours > 0
        assert row.disagreement <= AGREEMENT, row


def test_onnxs_evaluator_draws_the_same(network: Network) -> None:
    golden = GoldenInputs.of(network.bundle)
    inputs = golden.synthesis(golden.synthesis_images[:PROBED_IMAGES])
    path = str(network.bundle.graph_path(SYNTHESIS))
    image, pixels = map(np.asarray, ReferenceEvaluator(path).run([IMAGE, PIXELS], inputs))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    other, other_pixels = session.run([IMAGE, PIXELS], inputs)
    assert image.shape == other.shape
    allowed_share = ROUNDING * network.bundle.spec.synthesis.float32_rounding
    assert np.abs(image - other).max() <= allowed_share * np.ptp(other)
    assert np.abs(pixels.astype(int) - other_pixels).max() <= 1


@only_stylegan2
def test_onnxs_evaluator_finds_the_same_w(network: Network) -> None:
    golden = GoldenInputs.of(network.bundle)
    path = str(network.bundle.graph_path("mapping"))
    inputs = golden.mapping(golden.z, golden.samples.c)
    (w,) = map(np.asarray, ReferenceEvaluator(path).run(None, inputs))
    (other,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    assert np.abs(w - other).max() <= ROUNDING * np.ptp(other)
