"""The deployable form is the reference's function, rewritten exactly: equal in float64 to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from exporter.graphs import stylegan2
from exporter.graphs.stylegan2 import DeployMapping, DeployPipeline, DeploySynthesis
from runtime.mixing import identity_mask, parse_mask
from runtime.spec import Architecture
from tests.tiny import tiny_checkpoint

EXACT = 1e-12
"""Of the reference's largest value: float64 rounding, a few hundred operations deep."""

VARIANTS: dict[str, dict[str, Any]] = {
    "skip": {},
    "orig": {"architecture": Architecture.ORIG},
    "resnet": {"architecture": Architecture.RESNET},
    "no clamp": {"conv_clamp": None},
    "active clamp": {"conv_clamp": 0.5},
    "active clamp in a resnet": {"architecture": Architecture.RESNET, "conv_clamp": 0.5},
    "no noise": {"use_noise": False},
    "scaled demodulation": {"scaled_demodulation": True},
    "three taps": {"resample_filter": (0.2, 0.5, 0.3)},
    "three taps in a resnet": {"architecture": Architecture.RESNET, "resample_filter": (0.2, 0.5, 0.3)},
    "six taps": {"resample_filter": (0.05, 0.1, 0.2, 0.3, 0.2, 0.15)},
    "grey": {"img_channels": 1},
    "RGBA": {"img_channels": 4},
    "4 px": {"channels": (5,)},
    "all widths alike": {"channels": (6, 6)},
}


@pytest.fixture(autouse=True)
def float64_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the constants that export rounds to float32 as they were computed."""
    monkeypatch.setattr(stylegan2, "_constant", lambda array: torch.from_numpy(np.array(array, np.float64)))


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _assert_exact(measured: torch.Tensor, reference: torch.Tensor) -> None:
    assert measured.shape == reference.shape
    assert float((measured - reference).abs().max()) <= EXACT * float(reference.abs().max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_synthesis_is_exact(variant: str) -> None:
    checkpoint = tiny_checkpoint(**VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    deployed = DeploySynthesis(spec, checkpoint.weights, identity_mask(spec.num_ws).matrix, "explicit")
    ws = _random(3, spec.num_ws, spec.w_dim)
    noise = [_random(3, 1, *shape) for shape in spec.noise_shapes]
    _assert_exact(deployed.image(ws, noise), network.synthesis(ws, noise))


@pytest.mark.parametrize("noise", ["const", "none"])
def test_baked_noise_is_exact(noise: str) -> None:
    checkpoint = tiny_checkpoint()
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    deployed = DeploySynthesis(spec, checkpoint.weights, identity_mask(spec.num_ws).matrix, noise)
    ws = _random(2, spec.num_ws, spec.w_dim)
    _assert_exact(deployed.image(ws, ()), network.synthesis(ws, noise))


@pytest.mark.parametrize("text", ["A:0-2,B:3-5", "B:0,A:1-5", "A*0.25+B*0.75:0-3,A:4-5", "A*-0.5+B*1.5:0-5"])
def test_a_baked_mask_builds_ws(text: str) -> None:
    checkpoint = tiny_checkpoint()
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    mask = parse_mask(text, spec.num_ws)
    deployed = DeploySynthesis(spec, checkpoint.weights, mask.matrix, "none")
    styles = _random(2, len(mask.sources), spec.w_dim)
    ws = torch.einsum("lk,nkw->nlw", torch.from_numpy(mask.matrix), styles)
    _assert_exact(deployed.image(styles, ()), network.synthesis(ws, "none"))


@pytest.mark.parametrize("c_dim", [0, 4])
def test_mapping_is_exact(c_dim: int) -> None:
    checkpoint = tiny_checkpoint(c_dim=c_dim)
    network = checkpoint.build(torch.float64)
    z, c = _random(5, checkpoint.spec.z_dim), (_random(5, c_dim) if c_dim else None)
    _assert_exact(DeployMapping(checkpoint.spec.mapping, checkpoint.weights)(z, c), network.mapping(z, c))


def test_pipeline_truncates_each_row_by_its_own_psi() -> None:
    checkpoint = tiny_checkpoint()
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    pipeline = DeployPipeline(spec, checkpoint.weights, np.ones((spec.num_ws, 1)), "none")
    z, cutoff = _random(2, spec.z_dim), 3
    psi = torch.ones(spec.num_ws, dtype=torch.float64)
    psi[:cutoff] = 0.4
    image, pixels = pipeline((z,), None, psi, ())
    _assert_exact(image, network.synthesis(network.truncate(network.mapping(z), 0.4, cutoff), "none"))
    assert pixels.dtype == torch.uint8


def test_pipeline_of_a_mask_mixes_its_sources() -> None:
    checkpoint = tiny_checkpoint()
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    mask = parse_mask("A:0-1,B:2-5", spec.num_ws)
    pipeline = DeployPipeline(spec, checkpoint.weights, mask.matrix, "none")
    z = [_random(2, spec.z_dim), _random(2, spec.z_dim)]
    psi = torch.full((spec.num_ws,), 0.7, dtype=torch.float64)
    first, second = (network.truncate(network.mapping(latent), 0.7) for latent in z)
    expected = network.synthesis(torch.cat([first[:, :2], second[:, 2:]], dim=1), "none")
    _assert_exact(pipeline(tuple(z), None, psi, ())[0], expected)
