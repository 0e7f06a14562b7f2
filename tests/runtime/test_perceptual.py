"""A perceptual distance by a network of the user's: what is asked of the file, and what it is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runtime.errors import InputError
from runtime.parity.perceptual import PerceptualDistance

SIDE = 8
ANY = ("N", 3, "H", "W")


def network(
    path: Path,
    shape: Sequence[int | str] = ANY,
    rank: int = 1,
    inputs: int = 2,
    outputs: int = 1,
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """Mean square of the difference of two images, a distance a pair, unless told to be unfit."""
    names = ["x", "y", "z"][:inputs]
    axes = [1, 2, 3] if rank in (1, 4) else [2, 3]
    nodes = [
        helper.make_node("Sub", names[:2] if inputs > 1 else ["x", "x"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["mean"], axes=axes, keepdims=int(rank == 4)),
    ]
    shapes: dict[int, list[str | int | None]] = {1: ["N"], 4: ["N", 1, 1, 1]}
    results = [helper.make_tensor_value_info("mean", dtype, shapes.get(rank, ["N", 3]))]
    results += [helper.make_tensor_value_info("square", dtype, shape)] * (outputs - 1)
    given = [helper.make_tensor_value_info(name, dtype, shape) for name in names]
    graph = helper.make_graph(nodes, "distance", given, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def _images(channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    a, b = random.uniform(-1, 1, (2, channels, SIDE, SIDE)).astype(np.float32)
    return a, b


@pytest.mark.parametrize(("shape", "rank"), [(ANY, 1), (ANY, 4), ((1, 3, SIDE, SIDE), 1)])
def test_the_network_is_run_on_both_images(shape: Sequence[int | str], rank: int, tmp_path: Path) -> None:
    distance = PerceptualDistance(network(tmp_path / "net.onnx", shape, rank), SIDE, threads=1)
    a, b = _images()
    assert distance(a, b) == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
    assert distance(a, a) == 0


def test_grey_is_three_times_the_same_and_alpha_is_left_out(tmp_path: Path) -> None:
    distance = PerceptualDistance(network(tmp_path / "net.onnx"), SIDE)
    grey, other = _images(1)
    assert distance(grey, other) == pytest.approx(((grey - other) ** 2).mean(), rel=1e-5)
    a, b = _images(4)
    assert distance(a, b) == pytest.approx(((a - b)[:3] ** 2).mean(), rel=1e-5)


def test_what_lies_beyond_the_picture_is_cut_off(tmp_path: Path) -> None:
    distance = PerceptualDistance(network(tmp_path / "net.onnx"), SIDE)
    a, _ = _images()
    assert distance(np.full_like(a, 1.5), np.full_like(a, 1.0)) == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"inputs": 1}, "has 1 inputs and 1 outputs"),
        ({"inputs": 3}, "has 3 inputs and 1 outputs"),
        ({"outputs": 2}, "has 2 inputs and 2 outputs"),
        ({"rank": 2}, "its output 'mean' is tensor(float) [N, 3]"),
        ({"shape": ("N", 4, "H", "W")}, "its input 'x' is tensor(float) [N, 4, H, W], not [N, 3, 8, 8]"),
        ({"shape": ("N", 3, 64, 64)}, "its input 'x' is tensor(float) [N, 3, 64, 64], not [N, 3, 8, 8]"),
        ({"shape": (2, 3, "H", "W")}, "its input 'x' is tensor(float) [2, 3, H, W]"),
        ({"dtype": TensorProto.DOUBLE}, "its input 'x' is tensor(double)"),
    ],
)
def test_any_other_network_is_refused_when_it_is_opened(options: dict[str, Any], found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(found)) as raised:
        PerceptualDistance(network(tmp_path / "net.onnx", **options), SIDE)
    assert "expected two float32 inputs [N, 3, H, W] in [-1, 1] and one float32 output" in str(raised.value)


@pytest.mark.parametrize(("content", "found"), [(None, "no such file"), (b"not a network", "can't load the graph")])
def test_a_file_that_is_no_network_is_refused(content: bytes | None, found: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=found):
        PerceptualDistance(path, SIDE)


def test_images_without_a_batch_are_refused(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["d"], axes=[1, 2], keepdims=0)
    with pytest.raises(InputError, match=re.escape("its input 'x' is tensor(float) [3, H, W]")):
        PerceptualDistance(_network_of(tmp_path / "net.onnx", [mean], ANY[1:]), SIDE)


def _network_of(path: Path, nodes: list[onnx.NodeProto], shape: Sequence[int | str] = ANY) -> Path:
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(nodes, "odd", given, [helper.make_tensor_value_info("d", TensorProto.FLOAT, ["N"])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0)
    root = helper.make_node("Log", ["mean"], ["d"])
    distance = PerceptualDistance(_network_of(tmp_path / "net.onnx", [mean, root]), SIDE)
    image = np.full((3, SIDE, SIDE), -0.5, np.float32)
    with pytest.raises(InputError, match="gave nan for one pair of images, expected one finite number"):
        distance(image, image)


def test_a_network_that_fails_on_these_images_is_named(tmp_path: Path) -> None:
    """As one that halves images more often than these can be halved."""
    pool = helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[16, 16])
    mean = helper.make_node("ReduceMean", ["pooled"], ["d"], axes=[1, 2, 3], keepdims=0)
    distance = PerceptualDistance(_network_of(tmp_path / "net.onnx", [pool, mean]), SIDE)
    with pytest.raises(InputError, match=re.escape("net.onnx: fails on two images [1, 3, 8, 8]")):
        distance(*_images())
