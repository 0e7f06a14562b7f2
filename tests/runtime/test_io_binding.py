"""Graphs through IO binding: the same bytes as without it, and nothing uploaded that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from runtime import Bundle
from runtime.backends import RunOptions
from runtime.backends.base import is_constant
from runtime.backends.io_binding import BindingDevice, BoundSession
from runtime.backends.onnxruntime import CPU, open_session, session_options
from runtime.errors import BackendUnavailableError


class Device(BoundSession):
    """Keeps inputs in memory of its own, as a GPU does, and counts what is uploaded to it."""

    def __init__(self, path: Path) -> None:
        self.plain = open_session(onnxruntime, path, session_options(onnxruntime, RunOptions(threads=1)), [CPU])
        super().__init__(onnxruntime, self.plain, BindingDevice("cpu"))
        self.uploads = 0

    def upload(self, array: np.ndarray) -> object:
        self.uploads += 1
        return super().upload(array.copy())

    def expect(self, inputs: Mapping[str, np.ndarray], outputs: list[str]) -> None:
        """The same bytes as the session gives without a binding."""
        for bound, plain in zip(self.run(inputs, outputs), self.plain.run(outputs, dict(inputs)), strict=True):
            assert (bound.dtype, bound.shape) == (plain.dtype, plain.shape)
            assert bound.tobytes() == plain.tobytes()


@pytest.fixture
def synthesis(tiny_bundle: Bundle) -> Device:
    return Device(tiny_bundle.graph_path("synthesis", "fp32"))


def inputs_of(bundle: Bundle, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random styles for `batch` images and noise for all of them."""
    random = np.random.RandomState(seed)
    return {
        item.name: random.randn(
            *(size if isinstance(size, int) else batch if size == "batch" else 1 for size in item.shape)
        ).astype(np.float32)
        for item in bundle.manifest.graphs["synthesis"].inputs
    }


def frozen(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The noise made read-only, as views, which differ from call to call."""
    result = dict(inputs)
    for name in result:
        if name.startswith("noise"):
            result[name].flags.writeable = False
    return result


@pytest.mark.parametrize("outputs", [["image"], ["pixels"], ["pixels", "image"]])
def test_images_are_those_of_the_plain_session(tiny_bundle: Bundle, synthesis: Device, outputs: list[str]) -> None:
    for batch in (1, 3, 2, 1):
        synthesis.expect(inputs_of(tiny_bundle, batch), outputs)


def test_styles_are_those_of_the_plain_session(tiny_bundle: Bundle) -> None:
    mapping = Device(tiny_bundle.graph_path("mapping", "fp32"))
    for batch in (2, 5):
        mapping.expect({"z": np.random.RandomState(batch).randn(batch, 7).astype(np.float32)}, ["w"])


def test_an_array_in_pieces_is_taken(tiny_bundle: Bundle, synthesis: Device) -> None:
    inputs = inputs_of(tiny_bundle, 4)
    inputs["styles"] = inputs["styles"][::2]
    synthesis.expect(inputs, ["image"])


def test_what_nobody_can_write_into_is_uploaded_once(tiny_bundle: Bundle, synthesis: Device) -> None:
    inputs = frozen(inputs_of(tiny_bundle, 2))
    synthesis.expect(inputs, ["pixels"])
    assert synthesis.uploads == 6
    for _ in range(3):
        synthesis.expect(inputs, ["pixels"])
    assert synthesis.uploads == 6 + 3  # the styles


def test_another_constant_takes_the_place_of_the_first(tiny_bundle: Bundle, synthesis: Device) -> None:
    for seed in (1, 2, 1):
        synthesis.expect(frozen(inputs_of(tiny_bundle, 1, seed)), ["image"])
    assert synthesis.uploads == 3 * 6
    synthesis.expect(inputs_of(tiny_bundle, 1, 3), ["image"])


def test_an_array_changed_in_place_is_uploaded_again(tiny_bundle: Bundle, synthesis: Device) -> None:
    inputs = inputs_of(tiny_bundle, 1)
    synthesis.expect(inputs, ["image"])
    before = synthesis.run(inputs, ["image"])[0]
    inputs["noise_04"] += 1
    synthesis.expect(inputs, ["image"])
    assert (synthesis.run(inputs, ["image"])[0] != before).any()


def test_a_read_only_view_of_what_changes_is_no_constant(tiny_bundle: Bundle, synthesis: Device) -> None:
    inputs = inputs_of(tiny_bundle, 1)
    owner = inputs["noise_04"]
    inputs["noise_04"] = owner[:]
    inputs["noise_04"].flags.writeable = False
    synthesis.expect(inputs, ["image"])
    owner += 1
    synthesis.expect(inputs, ["image"])
    assert not is_constant(inputs["noise_04"])
    assert is_constant(np.frombuffer(bytes(8), np.float32))
    assert not is_constant(np.frombuffer(bytearray(8), np.float32))


def test_threads_do_not_meet(tiny_bundle: Bundle, synthesis: Device) -> None:
    def draw(seed: int) -> None:
        inputs = frozen(inputs_of(tiny_bundle, 1 + seed % 3, seed))
        for _ in range(10):
            synthesis.expect(inputs, ["pixels"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(draw, range(8)))


def test_a_failed_run_is_told_in_one_line(tiny_bundle: Bundle, synthesis: Device) -> None:
    inputs = inputs_of(tiny_bundle, 1)
    inputs["styles"] = inputs["styles"][:, :2]
    with pytest.raises(BackendUnavailableError, match=r"can't run the graph on cpu 0 \(.*run fewer images at once"):
        synthesis.run(inputs, ["image"])
