"""The PyTorch reference as contestants: the same images, at every generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import export, load_checkpoint
from exporter.bench import BASELINE, matching_checkpoint, reference_entrants
from exporter.bench.reference import COMPILED, PLAIN, ZEROS, CompiledEntrant, EagerEntrant
from exporter.checkpoints import write_safetensors
from exporter.networks import ReferenceNetwork
from runtime import Bundle
from runtime.backends import RunOptions
from runtime.bench import BenchOptions, Inputs, Standing, own_entrants, run_bench
from runtime.bench.memory import measure_alone
from runtime.errors import InputError
from runtime.manifest import NoiseMode
from runtime.mixing import parse_mask
from runtime.spec import GeneratorSpec
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

OPTIONS = RunOptions(threads=1)
FAST = BenchOptions(batches=(1, 3), runs=2, threads=1, memory=False, limits=False)


def made(folder: Path, spec: GeneratorSpec, **options: Any) -> tuple[Bundle, Path]:
    path = folder / "network.safetensors"
    write_safetensors(tiny_checkpoint(spec), path)
    return export(load_checkpoint(path), folder / "bundle", **options), path


@pytest.fixture(scope="module")
def stylegan2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    return made(tmp_path_factory.mktemp("stylegan2"), tiny_spec())


SPECS = {"1": tiny_stylegan1_spec(), "2": tiny_spec(), "3-t": tiny_stylegan3_spec(), "3-r": tiny_stylegan3_spec(True)}


@pytest.mark.parametrize("name", SPECS)
def test_eager_and_the_plain_export_draw_the_golden_images(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle, path = request.getfixturevalue("stylegan2") if name == "2" else made(tmp_path, SPECS[name])
    entrants = [item for item in reference_entrants(bundle, path, OPTIONS) if item.label.name != COMPILED]
    batches = (1, 3) if name == "2" else (3,)  # a plain export each
    options = replace(FAST, batches=batches)
    outcome = run_bench(bundle, [*entrants, *own_entrants(bundle, (), (), OPTIONS)], options, baseline=BASELINE)
    measured = {(line.contestant, line.batch) for line in outcome.measured}
    names = {BASELINE, "ONNX Runtime on the CPU"} | ({ZEROS} if name.startswith("3") else set())
    # A tiny StyleGAN's plain export is within the tolerances; one of official size need not be.
    assert measured >= {(item, batch) for item in names | {PLAIN} for batch in batches}
    assert all(line.timing and line.timing.times_baseline for line in outcome.measured)


@pytest.mark.parametrize("noise", list(NoiseMode))
def test_bundles_with_a_mask_and_any_noise(noise: NoiseMode, tmp_path: Path) -> None:
    bundle, path = made(tmp_path, tiny_spec(), noise=noise, mask=parse_mask("A:0-1,B*0.5+A*0.5:2-5", 6))
    (eager,) = [item for item in reference_entrants(bundle, path, OPTIONS) if isinstance(item, EagerEntrant)]
    eager.open()
    inputs = Inputs.of(bundle, 2)
    assert inputs.styles.shape == (2, 2, 9)
    assert bundle.mask.rows(inputs.styles).shape == (2, 6, 9)
    assert inputs.compare(*eager.enter(inputs).look()).passed
    eager.close()


def test_what_can_not_be_compiled_is_left_out(stylegan2: tuple[Bundle, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler\nwas found")

    bundle, path = stylegan2
    monkeypatch.setattr("torch.compile", refuse)
    compiled = [item for item in reference_entrants(bundle, path, OPTIONS) if isinstance(item, CompiledEntrant)]
    outcome = run_bench(bundle, [*compiled, *own_entrants(bundle, (), (), OPTIONS)], FAST)
    lines = [line for line in outcome.lines if line.contestant == COMPILED]
    assert [line.standing for line in lines] == [Standing.LEFT_OUT] * 2
    assert lines[0].reason == "RuntimeError: no C++ compiler was found"
    assert outcome.passed


def test_a_reference_that_draws_something_else_gets_no_figure(
    stylegan2: tuple[Bundle, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(_: EagerEntrant, network: ReferenceNetwork) -> ReferenceNetwork:
        network.synthesis.get_parameter("b8.conv0.weight").data[0] *= -1
        return network

    bundle, path = stylegan2
    monkeypatch.setattr(EagerEntrant, "_changed", changed)
    eager = reference_entrants(bundle, path, OPTIONS)[:1]
    outcome = run_bench(bundle, [*eager, *own_entrants(bundle, (), (), OPTIONS)], FAST, baseline=BASELINE)
    assert {line.standing for line in outcome.lines if line.contestant == BASELINE} == {Standing.FAILED_PARITY}
    assert all(line.timing and line.timing.times_baseline is None for line in outcome.measured)


def test_memory_of_the_reference_alone(stylegan2: tuple[Bundle, Path]) -> None:
    bundle, path = stylegan2
    found = measure_alone(reference_entrants(bundle, path, OPTIONS)[0], batch=2)
    assert found.missing is None
    assert found.host_peak is not None
    assert found.host_peak > 50 << 20  # PyTorch itself


def test_only_the_very_checkpoint_is_taken(stylegan2: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, path = stylegan2
    assert matching_checkpoint(bundle, path) == path
    other = tmp_path / "other.safetensors"
    write_safetensors(tiny_checkpoint(seed=2), other)
    with pytest.raises(
        InputError, match=r"other.safetensors: is not the checkpoint that .* was made of: its sha256 is"
    ):
        matching_checkpoint(bundle, other)
    with pytest.raises(InputError, match=r"missing.pkl: can't be read \(No such file or directory\)"):
        matching_checkpoint(bundle, tmp_path / "missing.pkl")
    assert np.isfinite(Inputs.of(bundle, 1).tiles).all()
