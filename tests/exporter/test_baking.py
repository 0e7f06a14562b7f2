"""Styles baked into a bundle: the images are those of the fixed rows, whatever is given for them."""

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
from runtime.manifest import BakedStyle
from runtime.parity import all_passed
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS = {"StyleGAN": tiny_stylegan1_spec(), "StyleGAN2": tiny_spec(), "StyleGAN3": tiny_stylegan3_spec()}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_images_are_those_of_the_fixed_rows(name: str, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(NETWORKS[name])
    plain = Generator.load(export(checkpoint, tmp_path / "plain"))
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


def test_from_the_command_line(tmp_path: Path, demo_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "baked")
    assert run(["export", str(demo_checkpoint), "-o", target, "--bake-style", "7*0.7@0-3"]) == 0
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
