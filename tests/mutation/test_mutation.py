"""Graphs broken on purpose: `verify` catches every one, `--per-layer` names the layer, and the cause where it is known.

Every mutant is signed anew, so that its images have to give it away. What is measured of all: docs/mutation.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from exporter.checkpoints import write_safetensors
from runtime import Bundle
from runtime.backends import BackendName
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.reports import BISECTION
from runtime.layers.verify import verify_layers
from runtime.manifest import MANIFEST
from stylegan_edge.cli import run
from tests.mutation import inputs
from tests.mutation.catalogue import EQUIVALENT, MUTANTS, VISIBLE
from tests.mutation.mutant import Mutant
from tests.mutation.networks import RECIPES, Network
from tests.mutation.trial import judge, operate, try_out

FEWEST_MUTANTS = 40
BY_PROBES = [mutant for mutant in VISIBLE if mutant.network == "resnet"]
"""Mutants that are tried with what a bundle keeps of its layers too; the benchmark tries all."""
OF_RGB = [mutant for mutant in VISIBLE if mutant.layer.endswith(("torgb", "image")) and mutant.graph == "synthesis"]

Networks = Callable[[str], Network]


def _id(mutant: Mutant) -> str:
    return f"{mutant.network} {mutant.graph}: {mutant.name}"


@pytest.fixture(scope="module")
def networks(
    tmp_path_factory: pytest.TempPathFactory, stylegan1_bundle: Bundle, stylegan3_t_bundle: Bundle
) -> Networks:
    """Networks by name, each exported when it is first asked for, but for two that other tests have too."""
    folder = tmp_path_factory.mktemp("networks")
    for name, bundle in (("stylegan", stylegan1_bundle), ("stylegan3-t", stylegan3_t_bundle)):
        shutil.copytree(bundle.path, folder / name)
    return lru_cache(None)(lambda name: Network.export(name, folder))


@pytest.mark.parametrize("mutant", VISIBLE, ids=_id)
def test_a_mutant_is_caught_and_its_layer_named(mutant: Mutant, networks: Networks, tmp_path: Path) -> None:
    network = networks(mutant.network)
    verdict = try_out(network, mutant, tmp_path / "bundle", probes=False)
    assert verdict.caught
    assert verdict.names(mutant), verdict.named
    if mutant.cause is not None:
        assert verdict.suspects_first(mutant.cause), verdict.suspects


@pytest.mark.parametrize("mutant", EQUIVALENT, ids=_id)
def test_what_changes_no_image_is_no_failure(mutant: Mutant, networks: Networks, tmp_path: Path) -> None:
    network = networks(mutant.network)
    verdict = try_out(network, mutant, tmp_path / "bundle", probes=False)
    assert not verdict.caught
    assert not verdict.named


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in RECIPES), ("resnet", "fp16")], ids=" ".join
)
def test_an_honest_bundle_is_not_accused(name: str, precision: str, networks: Networks) -> None:
    network = networks(name)
    verdict = judge(network, network.bundle, precision)
    assert not verdict.failures
    assert not verdict.named
    assert not verdict.by_probes


@pytest.mark.parametrize("mutant", BY_PROBES, ids=_id)
def test_a_device_without_pytorch_names_the_layer(mutant: Mutant, networks: Networks, tmp_path: Path) -> None:
    network = networks(mutant.network)
    assert try_out(network, mutant, tmp_path / "bundle").names_by_probes(mutant)


@pytest.mark.parametrize("mutant", OF_RGB, ids=_id)
def test_bisection_names_it_too(mutant: Mutant, networks: Networks, tmp_path: Path) -> None:
    """Features know nothing of a mistake in RGB, so that halving the layers by their order alone would go astray."""
    network = networks(mutant.network)
    golden = GoldenInputs.of(operate(network, mutant, tmp_path / "bundle"))
    graphs = OpenGraphs.open(golden.bundle, BackendName.ONNXRUNTIME, precision=mutant.precision, split=False)
    reports = verify_layers(golden, graphs, network.reference_of(golden), memory=0)
    assert {report.method for report in reports} == {BISECTION}
    assert [report.first for report in reports if report.graph == mutant.graph] == [mutant.layer]


def test_there_are_mutants_of_every_kind() -> None:
    assert len(VISIBLE) >= FEWEST_MUTANTS
    assert {mutant.network for mutant in VISIBLE} == set(RECIPES)
    assert {mutant.graph for mutant in VISIBLE} == {"mapping", "synthesis", "pipeline"}
    assert {mutant.precision for mutant in VISIBLE} == {"fp32", "fp16"}
    assert len({_id(mutant) for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.layer for mutant in VISIBLE)


@pytest.fixture
def mutated(networks: Networks, tmp_path: Path) -> Bundle:
    """The two noise inputs of a block change places."""
    change = inputs.noises_swapped("b8.conv0", "b8.conv1")
    return operate(networks("resnet"), Mutant("", "resnet", "synthesis", "b8.conv0", change), tmp_path / "bundle")


def test_the_command_says_so(
    mutated: Bundle, networks: Networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "network.safetensors"
    write_safetensors(networks("resnet").checkpoint, checkpoint)
    arguments = ["--batch", "2", "--precision", "fp32", "--per-layer", "--reference", str(checkpoint)]
    assert run(["verify", str(mutated.path), *arguments]) == 1
    told = capsys.readouterr().out
    assert told.count("the first layer out of tolerance is b8.conv0") == 1
    assert "Suspected: noise order: with noise_02 in place of noise_01" in told


def test_an_unsigned_change_is_refused_before_anything_is_run(
    mutated: Bundle, networks: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bit of one weight, or of anything else: the checksum tells."""
    (mutated.path / MANIFEST).write_bytes((networks("resnet").bundle.path / MANIFEST).read_bytes())
    assert run(["verify", str(mutated.path)]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "synthesis.onnx" in error
