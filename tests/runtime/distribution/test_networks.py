"""Networks that users bring: what they are given, and what is refused when they are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from runtime.backends import RunOptions
from runtime.distribution.distances import PixelDistance, open_distance
from runtime.distribution.networks import AttributeNetwork, ImageNetwork
from runtime.errors import InputError
from tests.runtime.distribution.models import FREE, brightness, flat_features, pair_distance, two_logits, write_model

OPTIONS = RunOptions(threads=1)
RANDOM = np.random.RandomState(0)
A, B = (RANDOM.uniform(-1, 1, (5, 3, 8, 8)).astype(np.float32) for _ in range(2))


def test_distances_agree(tmp_path: Path) -> None:
    """Plain pixels, a network of two pictures that says the same, and features that hold every value."""
    plain = PixelDistance().between(A, B)
    pair = open_distance(pair_distance(tmp_path / "pair.onnx"), 8, OPTIONS)
    features = open_distance(flat_features(tmp_path / "flat.onnx"), 8, OPTIONS)
    np.testing.assert_allclose(pair.between(A, B), plain, rtol=1e-5)
    np.testing.assert_allclose(features.between(A, B), plain * A[0].size, rtol=1e-5)
    assert isinstance(open_distance(None, 8, OPTIONS), PixelDistance)
    assert pair.name == "distance of pair.onnx"
    assert features.name == "features of flat.onnx"


def test_attributes_are_told_by_one_logit_or_two(tmp_path: Path) -> None:
    one = AttributeNetwork(brightness(tmp_path / "one.onnx"), OPTIONS)
    two = AttributeNetwork(two_logits(tmp_path / "two.onnx"), OPTIONS)
    np.testing.assert_allclose(one.margins(A), A.mean(axis=(1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(two.margins(A), 2 * A.mean(axis=(1, 2, 3)), atol=1e-6)


def test_grey_is_repeated_and_alpha_left_out(tmp_path: Path) -> None:
    network = ImageNetwork(flat_features(tmp_path / "flat.onnx"), (1,), OPTIONS)
    np.testing.assert_array_equal(network.run(A[:, :1]), np.repeat(A[:, :1], 3, axis=1).reshape(5, -1))
    rgba = np.concatenate([A, B[:, :1]], axis=1)
    np.testing.assert_array_equal(network.run(rgba), A.reshape(5, -1))


def test_larger_images_are_averaged(tmp_path: Path) -> None:
    network = ImageNetwork(flat_features(tmp_path / "small.onnx", ("N", 3, 4, 4)), (1,), OPTIONS)
    network.check_resolution(8)
    expected = A.reshape(5, 3, 4, 2, 4, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(network.run(A).reshape(5, 3, 4, 4), expected, atol=1e-6)


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    """Five pictures by a model that takes two at once."""
    network = ImageNetwork(flat_features(tmp_path / "two.onnx", (2, 3, "H", "W")), (1,), OPTIONS)
    np.testing.assert_array_equal(network.run(A), A.reshape(5, -1))


FLATTEN = [("Flatten", ["image_0"], "features")]
SPLIT = [("Neg", ["image_0"], "a"), ("Neg", ["image_0"], "b")]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"nodes": FLATTEN, "inputs": [("N", 3, 4)]}, r"image_0 is \[\?, 3, 4\], expected float32 \[N, 3, H, W\]"),
        ({"nodes": FLATTEN, "inputs": [("N", 1, "H", "W")]}, r"is \[\?, 1, \?, \?\], expected float32 \[N, 3, H, W\]"),
        ({"nodes": FLATTEN, "dtype": TensorProto.FLOAT16}, r"image_0 is tensor\(float16\), expected float32"),
        ({"nodes": SPLIT, "outputs": 2, "output": FREE}, "has 2 outputs, expected 1"),
        (
            {"nodes": [("Sum", ["image_0", "image_1", "image_2"], "sum")], "inputs": [FREE] * 3, "output": FREE},
            "has 3 inputs, expected 1 or 2: one an image",
        ),
        ({"nodes": FLATTEN, "inputs": [("N", 3, 5, 5)]}, r"8 px are no multiple of that; .* or divide 8"),
        ({"nodes": FLATTEN, "inputs": [("N", 3, 16, 16)]}, r"takes images \[\?, 3, 16, 16\], and 8 px"),
    ],
    ids=["rank", "channels", "dtype", "outputs", "inputs", "no divisor", "larger"],
)
def test_other_models_are_refused_when_opened(tmp_path: Path, model: dict[str, Any], message: str) -> None:
    path = write_model(tmp_path / "model.onnx", **model)
    with pytest.raises(InputError, match=message):
        open_distance(path, 8, OPTIONS)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; expected an ONNX model"):
        open_distance(tmp_path / "none.onnx", 8, OPTIONS)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(InputError, match=r"ONNX Runtime can't load the graph .* expected an ONNX model of images"):
        open_distance(tmp_path / "text.onnx", 8, OPTIONS)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its output is \[\?, 1, 1, 1\], expected logits"):
        AttributeNetwork(
            write_model(
                tmp_path / "deep.onnx", [("ReduceMean", ["image_0", "spatial"], "mean")], output=("N", 1, 1, 1)
            ),
            OPTIONS,
        )
    with pytest.raises(InputError, match="has 2 inputs, expected 1"):
        AttributeNetwork(pair_distance(tmp_path / "pair.onnx"), OPTIONS)
    many = AttributeNetwork(flat_features(tmp_path / "many.onnx"), OPTIONS)
    with pytest.raises(InputError, match=r"gave \[5, 192\], expected logits"):
        many.margins(A)


def test_a_distance_of_many_values_is_refused(tmp_path: Path) -> None:
    nodes = [("Sub", ["image_0", "image_1"], "difference")]
    distance = open_distance(write_model(tmp_path / "map.onnx", nodes, [FREE, FREE], FREE), 8, OPTIONS)
    with pytest.raises(InputError, match="gave 192 values a pair of images, expected 1"):
        distance.between(A, B)
