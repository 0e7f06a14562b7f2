"""Styles and noise baked into a bundle: the images are those of what was fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter import export
from exporter.baking import parse_baked
from exporter.verify import verify_reference
from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.graphs import OpenGraphs
from runtime.manifest import BakedStyle, NoiseMode
from runtime.noise import seeded_noise
from runtime.parity import all_passed
from runtime.spec import GeneratorSpec
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS = {"StyleGAN": tiny_stylegan1_spec(), "StyleGAN2": tiny_spec(), "StyleGAN3": tiny_stylegan3_spec()}
EXPORTED = {"StyleGAN": "stylegan1_bundle", "StyleGAN2": "tiny_bundle", "StyleGAN3": "stylegan3_t_bundle"}
"""The fixtures that hold the same networks with nothing baked."""


@pytest.mark.parametrize("name", NETWORKS)
def test_the_images_are_those_of_the_fixed_rows(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    checkpoint = tiny_checkpoint(NETWORKS[name])
    plain = Generator.load(request.getfixturevalue(EXPORTED[name]))
    bundle = export(checkpoint, tmp_path / "baked", ("fp32", "fp16"), bake=["7*0.5@0-1", "9@3"], pipeline=True)
    baked = Generator.load(bundle)
    ws = np.random.RandomState(0).randn(2, plain.spec.num_ws, plain.spec.w_dim).astype(np.float32)
    measured = baked.synthesize(ws)
    for seed, psi, rows in ((7, 0.5, [0, 1]), (9, 1.0, [3])):
        ws[:, rows] = plain.truncate(plain.map(plain.latents([seed])), psi)[:, rows]
    expected = plain.synthesize(ws)
    assert np.abs(measured - expected).max() <= 1e-4 * (expected.max() - expected.min())
    assert (baked.synthesize(ws) == measured).all(), "what is given for these rows is ignored"


def test_verify_knows_of_it(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(c_dim=3)
    bundle = export(checkpoint, tmp_path / "baked", bake=["1@0,2"], bake_class=2, pipeline=True)
    assert bundle.manifest.options.baked == (BakedStyle(1, 1.0, 2, (0, 2)),)
    figures = verify_reference(bundle, checkpoint, OpenGraphs.open(bundle), (1, 3), samples=5, seed=1)
    assert all_passed(figures)


def test_the_folded_graph_is_smaller(tiny_bundle: Bundle, tmp_path: Path) -> None:
    rows = tiny_bundle.spec.num_ws
    bundle = export(tiny_checkpoint(), tmp_path / "baked", bake=[f"1@0-{rows - 2}"])
    assert bundle.graph("synthesis").nodes < tiny_bundle.graph("synthesis").nodes - 2 * (rows - 1)


def test_from_the_command_line(tmp_path: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "baked")
    assert run(["export", str(tiny_file), "-o", target, "--bake-style", "7*0.7@0-3"]) == 0
    assert run(["inspect", target]) == 0
    assert "rows 0, 1, 2, 3 of seed 7, psi 0.7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("texts", "label", "message"),
    [
        (["banana"], None, "is not understood; expected SEED@LAYERS"),
        (["7@"], None, "is not understood"),
        (["7@0-3", "8@3"], None, "a row is baked twice"),
        (["7@99"], None, "baked row 99 is out of range, expected 0 to 5"),
        (["7@0-5"], None, "all 6 rows are baked"),
        (["9999999999@0"], None, "seed 9999999999 is out of range"),
        (["7@0"], 1, "expected none: the generator is unconditional"),
    ],
)
def test_what_makes_no_sense(texts: list[str], label: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_baked(texts, tiny_spec(), label)


def test_a_conditional_generator_needs_a_class() -> None:
    with pytest.raises(InputError, match="give the class of the baked styles, 0 to 2"):
        parse_baked(["7@0"], tiny_spec(c_dim=3), None)
    with pytest.raises(InputError, match="baked class 3 is out of range, expected 0 to 2"):
        parse_baked(["7@0"], tiny_spec(c_dim=3), 3)


@pytest.mark.parametrize(
    ("spec", "mode"),
    [(tiny_spec(), None), (tiny_stylegan1_spec(noise_per_block=True), "const")],
    ids=["StyleGAN2, not said", "StyleGAN, const"],
)
def test_noise_of_a_seed_is_what_generate_draws(
    spec: GeneratorSpec, mode: str | None, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    checkpoint = tiny_checkpoint(spec)
    plain = Generator.load(tiny_bundle if spec == tiny_bundle.spec else export(checkpoint, tmp_path / "plain"))
    bundle = export(checkpoint, tmp_path / "baked", noise=mode, bake_noise=7)
    baked = Generator.load(bundle)
    assert bundle.manifest.options.noise is NoiseMode.CONST
    assert bundle.manifest.provenance.noise == "drawn from seed 7, as asked for"
    for stored, drawn in zip(bundle.stored_noise, seeded_noise(spec, 7)):
        assert (stored == drawn[0, 0]).all()
    ws = np.random.RandomState(0).randn(2, spec.num_ws, spec.w_dim).astype(np.float32)
    expected = plain.synthesize(ws, noise=7)
    assert np.abs(baked.synthesize(ws) - expected).max() <= 1e-5 * (expected.max() - expected.min())
    assert np.abs(plain.synthesize(ws) - expected).max() > 1e-3, "the checkpoint's own is another"
    assert all_passed(verify_reference(bundle, checkpoint, OpenGraphs.open(bundle), (2,), samples=2, seed=1))


@pytest.mark.parametrize(
    ("spec", "noise", "seed", "message"),
    [
        (tiny_spec(), "explicit", 7, "noise of seed 7 is to be baked, but noise is 'explicit': leave that out"),
        (tiny_spec(), "none", 7, "noise is 'none': leave that out"),
        (tiny_spec(), None, -1, "seed -1 is out of range, expected 0 to"),
        (tiny_spec(), "loud", 7, "noise 'loud' is unknown"),
        (tiny_spec(use_noise=False), None, 7, "takes no noise, so there is none to bake"),
        (tiny_stylegan3_spec(), "const", 7, "takes no noise, so there is none to bake"),
    ],
)
def test_noise_that_can_not_be_baked(
    spec: GeneratorSpec, noise: str | None, seed: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        export(tiny_checkpoint(spec), tmp_path / "bundle", noise=noise, bake_noise=seed)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_noise_is_baked_from_the_command_line(
    tmp_path: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "baked")
    assert run(["export", str(tiny_file), "-o", target, "--bake-noise", "7", "--noise", "none"]) == 2
    assert "noise of seed 7 is to be baked, but noise is 'none'" in capsys.readouterr().err
    assert run(["export", str(tiny_file), "-o", target, "--bake-noise", "7"]) == 0
    assert "Noise: drawn from seed 7, as asked for." in capsys.readouterr().out
