"""`assert_same`, as tests of one's own would use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import Bundle
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.errors import BundleError, ImagesDifferError, InputError, ParityError
from runtime.parity import FP16, FP32, INT8, assert_same, to_pixels


@pytest.fixture
def images() -> np.ndarray:
    """float32 [4, 3, 64, 64] within [-1, 1]."""
    return np.random.RandomState(0).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32)


def _noisy(images: np.ndarray, amount: float) -> np.ndarray:
    noise = np.random.RandomState(1).standard_normal(images.shape)
    return (images + amount * noise).astype(np.float32)


def test_equal_images_pass_and_their_figures_come_back(images: np.ndarray) -> None:
    figures = assert_same(images, images)
    assert (figures.passed, figures.samples, figures.levels_max, figures.max_abs) == (True, 4, 0, 0.0)
    figures = assert_same(to_pixels(images), to_pixels(images))
    assert (figures.passed, figures.samples, figures.levels_max, figures.psnr) == (True, 4, 0, None)


def test_each_precision_has_its_own_tolerance(images: np.ndarray) -> None:
    measured = _noisy(images, 1e-3)
    assert assert_same(images, measured, precision=FP16).psnr == pytest.approx(66, abs=0.5)
    with pytest.raises(ImagesDifferError, match=r"1e-04.*values differ"):
        assert_same(images, measured, precision=FP32)


def test_the_message_says_what_is_off_where_and_what_to_do(images: np.ndarray) -> None:
    images[2, 1, 5, 7] = 0
    measured = images.copy()
    measured[2, 1, 5, 7] = 0.5
    with pytest.raises(ImagesDifferError) as caught:
        assert_same(images, measured)
    message = str(caught.value)
    assert message.startswith("the images are not the same (fp32, 4 of them): max |d| 2.5e-01 of the range, allowed")
    assert "63 levels, allowed 1" in message
    assert "the worst is image 2 (63 levels, max |d| 0.5)" in message
    assert "stylegan-edge verify BUNDLE --reference CHECKPOINT --per-layer --report report.html" in message


def test_it_is_a_failed_assertion_and_a_parity_error() -> None:
    assert issubclass(ImagesDifferError, AssertionError)
    assert issubclass(ImagesDifferError, ParityError)


def test_pixels_may_be_one_level_off_in_few_places(images: np.ndarray) -> None:
    pixels = to_pixels(images).clip(0, 254)
    measured = pixels.copy()
    measured[0, 0, 0, 0] += 1
    assert assert_same(pixels, measured).levels_max == 1
    with pytest.raises(ImagesDifferError, match=r"of the values differ, allowed"):
        assert_same(pixels, pixels + 1)
    measured[0, 0, 0, 0] += 1
    with pytest.raises(ImagesDifferError, match=r"2 levels, allowed 1"):
        assert_same(pixels, measured)


def test_pixels_of_a_rough_precision_are_judged_by_their_psnr(images: np.ndarray) -> None:
    """Int8 may be any number of levels off; then only the PSNR can tell."""
    pixels = to_pixels(images)
    assert assert_same(pixels, to_pixels(_noisy(images, 0.01)), precision=INT8).passed
    with pytest.raises(ImagesDifferError, match=r"PSNR .* dB, expected 35"):
        assert_same(pixels, to_pixels(_noisy(images, 0.1)), precision=INT8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_fail(images: np.ndarray, value: float) -> None:
    measured = images.copy()
    measured[3, 0, 0, 0] = value
    with pytest.raises(ImagesDifferError, match=r"NaN or infinity in the output; .*image 3 \(NaN or infinity\)"):
        assert_same(images, measured)


@pytest.mark.parametrize(
    ("reference", "measured", "message"),
    [
        (np.zeros((1, 3, 8, 8)), np.zeros((1, 3, 8, 9)), "(1, 3, 8, 8) can't be compared with images (1, 3, 8, 9)"),
        (np.zeros((3, 8, 8)), np.zeros((3, 8, 8)), "found an array of shape (3, 8, 8), expected float [N, C, H, W]"),
        (np.zeros((0, 3, 8, 8)), np.zeros((0, 3, 8, 8)), "one image at least"),
        (np.zeros((1, 3, 8, 8)), np.zeros((1, 3, 8, 8), np.uint8), "found images of float64 and uint8, expected both"),
        (np.zeros((1, 3, 8, 8), int), np.zeros((1, 3, 8, 8), int), "found images of int64 and int64"),
        (np.zeros((1, 3, 8, 8)), None, "has images but none to compare them with"),
    ],
)
def test_wrong_arrays_are_named(reference: np.ndarray, measured: np.ndarray | None, message: str) -> None:
    with pytest.raises(InputError) as caught:
        assert_same(reference, measured)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_unknown_precision_is_named(images: np.ndarray, tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="precision 'fp64' is unknown, expected one of fp32, fp16"):
        assert_same(images, images, precision="fp64")
    with pytest.raises(InputError, match="has no precision 'fp16', only fp32"):
        assert_same(tiny_bundle, precision="fp16")
    with pytest.raises(InputError, match="backend 'cuda' is unknown, expected one of"):
        assert_same(tiny_bundle, backend="cuda")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        assert_same(Path(__file__).parent)


def test_a_bundle_is_checked_by_its_golden_samples(tiny_bundle: Bundle) -> None:
    figures = assert_same(str(tiny_bundle.path), backend="onnxruntime", threads=1)
    assert {(item.graph, item.batch) for item in figures} == {
        (graph, batch) for graph in ("mapping", "synthesis", "pipeline") for batch in (1, 2, 3, 8)
    }
    assert all(item.passed for item in figures)


def test_a_bundle_that_draws_other_images(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxRuntimeGraph.run

    def run_wrong(self: OnnxRuntimeGraph, *arguments: object) -> list[np.ndarray]:
        outputs = run(self, *arguments)  # type: ignore[arg-type]
        if len(outputs) == 2:
            outputs[0][-1] += 0.5
            outputs[1] = to_pixels(outputs[0])
        return outputs

    monkeypatch.setattr(OnnxRuntimeGraph, "run", run_wrong)
    with pytest.raises(ImagesDifferError) as caught:
        assert_same(tiny_bundle, backend="onnxruntime", batches=(2,), threads=1)
    message = str(caught.value)
    assert "the images are not the reference's: synthesis fp32, batch 2: max |d|" in message
    assert "the worst is golden image" in message
    assert f"stylegan-edge verify {tiny_bundle.path} --precision fp32 --backend onnxruntime --per-layer" in message


def test_pytest_calls_it_a_failure(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\n"
        "from runtime.parity import assert_same\n"
        "def test_images():\n"
        "    assert_same(np.zeros((1, 3, 8, 8)), np.ones((1, 3, 8, 8)))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_mine.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "ImagesDifferError: the images are not the same (fp32, 1 of them)" in result.stdout
