"""Noise of a batch: each image's own, a layer at a time."""

from __future__ import annotations

import numpy as np

from runtime.noise import batched_noise, noise_arrays
from tests.tiny import tiny_spec


def test_each_image_of_a_batch_has_its_own_noise() -> None:
    spec = tiny_spec()
    images = [noise_arrays(spec, noise, None) for noise in (1, "none", 2)]
    layers = batched_noise(images)
    assert [layer.shape for layer in layers] == [(3, 1, *shape) for shape in spec.noise_shapes]
    for number, image in enumerate(images):
        assert all((layer[number] == array[0]).all() for layer, array in zip(layers, image))
    assert np.ptp(layers[-1][0]) > 0
    assert not layers[-1][1].any()


def test_images_of_a_network_without_noise_have_none() -> None:
    assert batched_noise([[], []]) == []
