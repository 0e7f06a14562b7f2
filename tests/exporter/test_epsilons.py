"""What keeps a division by zero from happening is in the graphs too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from runtime import Bundle, Generator
from tests.broken import broken
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec

SPECS = {"tiny_bundle": tiny_spec(), "stylegan1_bundle": tiny_stylegan1_spec()}


@pytest.mark.parametrize("name", SPECS)
def test_a_latent_of_zeros_is_mapped_as_by_the_reference(name: str, request: pytest.FixtureRequest) -> None:
    generator = Generator.load(request.getfixturevalue(name))
    z = np.zeros((1, generator.spec.z_dim), np.float32)
    expected = tiny_checkpoint(SPECS[name]).completed().build().mapping(torch.from_numpy(z))
    np.testing.assert_allclose(generator.map(z), expected.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_a_channel_without_variance_is_normalised_to_zeros(stylegan1_bundle: Bundle, tmp_path: Path) -> None:
    """Without weights and noise a channel is its bias in every pixel, and its normalisation 0 / 0 without epsilon."""

    def dead(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name in ("b8_conv1_weight", "b8_conv1_bias"):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(0), tensor.name))

    generator = Generator.load(broken(stylegan1_bundle, tmp_path / "bundle", "synthesis", dead))
    ws = generator.truncate(generator.map(generator.latents([1])), psi=0.7)
    assert np.isfinite(generator.synthesize(ws, noise="none", output="image")).all()
