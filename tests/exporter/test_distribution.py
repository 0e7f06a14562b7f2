"""The PyTorch reference and a bundle's graphs, given the same inputs, draw the same distribution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter import export
from exporter.distribution import ReferenceDrawer
from runtime import Bundle
from runtime.backends import RunOptions
from runtime.distribution import GraphDrawer, Instruments, Sampling, all_equal, compare, measure
from runtime.errors import InputError
from runtime.spec import GeneratorSpec
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan3_spec

CASES: dict[str, tuple[GeneratorSpec, dict[str, Any]]] = {
    "conditional": (tiny_spec(c_dim=3), {}),
    "grey, mixed, noise baked": (tiny_spec(img_channels=1), {"mask": "A:0-1,B*0.5+A*0.5:2-5", "bake_noise": 5}),
    "transparent, a style baked, no noise": (tiny_spec(img_channels=4), {"bake": ("7*0.7@0-2",), "noise": "none"}),
    "StyleGAN3": (tiny_stylegan3_spec(), {}),
}
EXPORTED = {"conditional": "conditional_bundle", "StyleGAN3": "stylegan3_t_bundle"}
"""The fixtures that hold the same."""


@pytest.mark.parametrize("name", CASES)
def test_reference_and_graphs_are_equal(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    spec, options = CASES[name]
    checkpoint = tiny_checkpoint(spec)
    fixture = EXPORTED.get(name)
    bundle: Bundle = request.getfixturevalue(fixture) if fixture else export(checkpoint, tmp_path / "bundle", **options)
    drawers = ReferenceDrawer(bundle, checkpoint), GraphDrawer.reference(bundle, RunOptions(threads=1))
    sampling, instruments = Sampling.of(bundle, 40, seed=0), Instruments.open(spec.resolution)
    reference, engine = (measure(drawer, sampling, instruments) for drawer in drawers)
    figures = compare(reference, engine, "fp32")
    assert len(figures) == 8
    assert all_equal(figures)
    for item in figures[:6]:  # by far: what is left is rounding
        assert item.passed
        assert item.difference is not None
        assert item.sampling_error is not None
        assert item.difference <= 1e-3 * item.sampling_error, item


def test_one_weight_changed_is_caught(tiny_bundle: Bundle) -> None:
    """Of the network that draws, not of the one that maps: `w` is equal, pictures are not."""
    checkpoint, bundle = tiny_checkpoint(), tiny_bundle
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    weights["synthesis.b16.torgb.bias"] += 0.5
    changed = ReferenceDrawer(bundle, replace(checkpoint, weights=weights))
    sampling, instruments = Sampling.of(bundle, 200, seed=0), Instruments.open(16)
    drawers = changed, GraphDrawer.reference(bundle, RunOptions(threads=1))
    reference, engine = (measure(drawer, sampling, instruments) for drawer in drawers)
    failed = [item.figure for item in compare(reference, engine, "fp32") if item.passed is False]
    assert failed == ["mean of pixels", "Fréchet distance of pixels"]


def test_another_checkpoint_is_refused(tiny_bundle: Bundle) -> None:
    other = tiny_checkpoint(tiny_spec(channels=(6, 5, 3)))
    with pytest.raises(InputError, match=r"tiny is not this bundle's checkpoint: its specification differs"):
        ReferenceDrawer(tiny_bundle, other)


def test_names_say_who_draws(tiny_bundle: Bundle) -> None:
    assert ReferenceDrawer(tiny_bundle, tiny_checkpoint()).name == "PyTorch, tiny"
    assert GraphDrawer.reference(tiny_bundle, RunOptions(threads=1)).name == "fp32 with onnxruntime on cpu"
