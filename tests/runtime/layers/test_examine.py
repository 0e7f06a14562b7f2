"""The first layer that differs is found, in one pass or by bisection, with PyTorch or without."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exporter.layers import NetworkReference
from runtime import Bundle
from runtime.backends import BackendName
from runtime.errors import BundleError
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.marked import layers_of, read_model
from runtime.layers.model_file import ModelFile
from runtime.layers.reference import LayerReference, StoredProbes
from runtime.layers.reports import Cause, LayerReport
from runtime.layers.verify import verify_layers
from tests.broken import broken, rename_inputs
from tests.tiny import tiny_checkpoint

PLENTY, NOTHING = 1 << 30, 0
"""Bytes of memory."""


def _stored(golden: GoldenInputs) -> LayerReference:
    return StoredProbes(golden)


def _in_pytorch(golden: GoldenInputs) -> LayerReference:
    return NetworkReference(tiny_checkpoint().completed().build(), golden)


def _reports(bundle: Bundle, memory: int = PLENTY, pytorch: bool = False) -> dict[str, LayerReport]:
    golden = GoldenInputs.of(bundle)
    graphs = OpenGraphs.open(bundle, BackendName.ONNXRUNTIME, split=False)
    reports = verify_layers(golden, graphs, (_in_pytorch if pytorch else _stored)(golden), memory)
    return {report.graph: report for report in reports}


@pytest.fixture(scope="module")
def swapped(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The two noise inputs of 8 px change places in synthesis."""
    folder = tmp_path_factory.mktemp("swapped") / "bundle"
    return broken(tiny_bundle, folder, "synthesis", rename_inputs({"noise_01": "noise_02", "noise_02": "noise_01"}))


@pytest.mark.parametrize("pytorch", [False, True])
def test_layers_of_an_honest_bundle_are_the_references(tiny_bundle: Bundle, pytorch: bool) -> None:
    reports = _reports(tiny_bundle, pytorch=pytorch)
    assert list(reports) == ["mapping", "synthesis", "pipeline"]
    for report in reports.values():
        assert report.passed
        assert report.first is None
        assert not report.suspects
        assert report.method == "one pass"
        assert len(report.growth) == len(report.layers)
    names = [*(item.name for item in tiny_bundle.spec.outputs), "pixels"]
    assert [item.layer for item in reports["mapping"].layers + reports["synthesis"].layers] == names
    with_ws = [item.layer for item in reports["pipeline"].layers if item.layer != "ws"]
    assert with_ws == names


@pytest.mark.parametrize("pytorch", [False, True])
@pytest.mark.parametrize("memory", [PLENTY, NOTHING])
def test_the_first_wrong_layer_is_named(swapped: Bundle, memory: int, pytorch: bool) -> None:
    report = _reports(swapped, memory, pytorch)["synthesis"]
    assert report.first == "b8.conv0"
    assert report.method == ("one pass" if memory else "bisection")
    assert not report.passed
    if pytorch:
        assert report.suspects[0].cause is Cause.NOISE_ORDER
        assert "with noise_02 in place of noise_01" in report.suspects[0].evidence


def test_bisection_reads_few_layers(swapped: Bundle) -> None:
    whole, halved = _reports(swapped)["synthesis"], _reports(swapped, NOTHING)["synthesis"]
    assert len(halved.layers) <= 6 < len(whole.layers) == 11
    known = {item.layer: item.rms for item in whole.layers}
    for item in halved.layers:
        assert item.rms == pytest.approx(known[item.layer])


def test_other_graphs_than_the_wrong_one_pass(swapped: Bundle) -> None:
    reports = _reports(swapped)
    assert reports["mapping"].passed
    assert reports["pipeline"].passed


def test_a_graph_without_names_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="the synthesis graph's values have no layers' names; export the bundle"):
        layers_of(tiny_bundle.spec, "synthesis", ModelFile(("image", "pixels", "add_1"), 17))


def test_probes_of_another_network_are_refused(tiny_bundle: Bundle) -> None:
    golden = GoldenInputs.of(tiny_bundle)
    other = dataclasses.replace(golden.samples, probes=np.zeros((2, 7), np.float32))
    with pytest.raises(BundleError, match=r"keep 7 values of an image's layers, expected .*; export the bundle again"):
        StoredProbes(GoldenInputs(tiny_bundle, other))


def test_the_last_layer_goes_by_the_graphs_output(tiny_bundle: Bundle) -> None:
    found = layers_of(tiny_bundle.spec, "synthesis", read_model(tiny_bundle, "synthesis", "fp32"))
    assert [value for item, value in found.items() if item.name == "b16.image"] == ["image"]


@pytest.mark.parametrize("name", ["conditional_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def test_other_generators_pass(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bundle = request.getfixturevalue(name)
    assert all(report.passed for report in _reports(bundle).values())
    assert all(report.passed for report in _reports(bundle, NOTHING).values())
    assert not any(tmp_path.iterdir())
