"""What TensorFlow files that no known answer covers draw once they are read, against NumPy on their variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exporter.checkpoints import load_checkpoint
from runtime.spec import GeneratorSpec, LabelInput
from tests.exporter.checkpoints.known_networks import tensorflow_stylegan1, tensorflow_stylegan2
from tests.exporter.checkpoints.numpy_stylegan1 import draw, map_latent
from tests.exporter.checkpoints.tensorflow_networks import VERSIONS, Variables, honest_variables, tensorflow_pickle

NEVER = 1 << 20
BLUR = (1.0, 2.0, 1.0)
TOLERANCE = 1e-9
"""Of images and latents of about 1, in double precision."""


def stylegan1(**options: Any) -> GeneratorSpec:
    return tensorflow_stylegan1(channels=(4, 3, 2), **options)


IMAGES: dict[str, tuple[GeneratorSpec, dict[str, Any], dict[str, Any]]] = {
    "fused up-sampling": (stylegan1(), {"fused_scale": True}, {"fused_from": 0}),
    "plain up-sampling": (stylegan1(), {"fused_scale": False}, {"fused_from": NEVER}),
    "up-sampling as the resolution asks for": (
        tensorflow_stylegan1(channels=(2,) * 6),
        {"fused_scale": "auto"},
        {"fused_from": 128},
    ),
    "no blur": (stylegan1(), {"blur_filter": None}, {"blur": None}),
    "no noise": (stylegan1(use_noise=False), {"use_noise": False}, {}),
    "a growing network": (stylegan1(lod=1.25), {"structure": "recursive"}, {"lod": 1.25}),
    "a network at 4 px": (stylegan1(lod=2.0), {"structure": "linear"}, {"lod": 2.0}),
    "a fixed structure": (stylegan1(rgb_everywhere=False), {"structure": "fixed"}, {}),
}


def in_double(variables: Variables) -> Variables:
    """The same, in double precision."""
    return {name: array.astype(np.float64) for name, array in variables.items()}


@pytest.mark.parametrize("case", IMAGES)
def test_stylegan_draws_what_its_variables_say(case: str, tmp_path: Path) -> None:
    spec, options, conventions = IMAGES[case]
    variables = honest_variables(spec)
    stored = {**variables, "lod": np.array(1.5, np.float32)} if "fixed" in case else variables
    path = tmp_path / "network.pkl"
    path.write_bytes(tensorflow_pickle(stored, options))
    network = load_checkpoint(path).build(torch.float64)
    ws = np.random.RandomState(0).randn(spec.num_ws, spec.w_dim)
    drawn = network.synthesis(torch.from_numpy(ws[None]), noise="const")[0].numpy()
    expected = draw(in_double(variables), ws, **{"fused_from": NEVER, "blur": BLUR, **conventions})
    assert drawn.shape == expected.shape
    assert np.abs(expected).max() > 0.1
    assert np.abs(drawn - expected).max() < TOLERANCE


@pytest.mark.parametrize("label", list(LabelInput))
@pytest.mark.parametrize(
    ("make", "weight_gain", "relu_gain"),
    [(tensorflow_stylegan1, 2**0.5, 1.0), (tensorflow_stylegan2, 1.0, 2**0.5)],
    ids=["StyleGAN", "StyleGAN2"],
)
def test_labels_are_mapped_as_their_variables_say(
    make: Any, weight_gain: float, relu_gain: float, label: LabelInput, tmp_path: Path
) -> None:
    spec = make(label=label)
    variables = honest_variables(spec)
    path = tmp_path / "network.pkl"
    path.write_bytes(tensorflow_pickle(variables, {"label_size": 3}, VERSIONS[spec.generation]))
    network = load_checkpoint(path).build(torch.float64)
    z, c = np.random.RandomState(0).randn(3, spec.z_dim), np.eye(3)
    mapped = network.mapping(torch.from_numpy(z), torch.from_numpy(c)).numpy()
    expected = map_latent(in_double(variables), z, c, weight_gain, relu_gain)
    assert np.abs(expected).max() > 0.1
    assert np.abs(mapped - expected).max() < TOLERANCE
