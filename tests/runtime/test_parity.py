"""How images are compared: what fails, and by how much."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.parity import ENOUGH_VALUES, Comparison, allowed_share, to_pixels


def _images(count: int = 4, side: int = 256) -> np.ndarray:
    return np.random.RandomState(0).uniform(-1, 1, (count, 3, side, side)).astype(np.float32)


def _compare(reference: np.ndarray, measured: np.ndarray) -> Comparison:
    comparison = Comparison("synthesis", "reference", 1)
    comparison.add_images(reference, [measured, to_pixels(measured)])
    return comparison


def test_equal_images_pass() -> None:
    figures = _compare(_images(), _images()).figures()
    assert figures.passed
    assert (figures.levels_max, figures.max_abs, figures.psnr) == (0, 0.0, None)
    assert figures.cosine == pytest.approx(1.0)


def test_figures_are_what_they_say() -> None:
    reference = _images()
    measured = reference.copy()
    measured[0, 0, 0, 0] += 0.5
    figures = _compare(reference, measured).figures()
    spread = float(reference.max() - reference.min())
    assert figures.max_abs == pytest.approx(0.5)
    assert figures.max_relative == pytest.approx(0.5 / spread)
    assert figures.psnr == pytest.approx(10 * np.log10(spread**2 / (0.25 / reference.size)))
    assert not figures.passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_fail(value: float) -> None:
    measured = _images()
    measured[0, 0, 0, 0] = value
    figures = _compare(_images(), measured).figures()
    assert not figures.passed
    assert "NaN or infinity" in figures.failures()[0]


def test_nan_in_the_reference_fails_too() -> None:
    reference = _images()
    reference[0, 0, 0, 0] = np.nan
    assert not _compare(reference, reference).figures().passed


def test_one_value_two_levels_off_fails() -> None:
    reference = _images()
    comparison = Comparison("synthesis", "reference", 1)
    pixels = to_pixels(reference)
    changed = pixels.copy()
    changed[0, 10, 10, 0] = pixels[0, 10, 10, 0] ^ 2
    comparison.add_images(reference, [reference, changed])
    assert comparison.figures().failures() == ["2 levels, allowed 1"]


def test_too_many_values_one_level_off_fail() -> None:
    reference = _images()
    pixels = to_pixels(reference)
    flat = pixels.copy().reshape(-1)
    for share, passes in ((0.9e-4, True), (1.1e-4, False)):
        changed = flat.copy()
        changed[: int(share * flat.size)] ^= 1
        comparison = Comparison("synthesis", "reference", 1)
        comparison.add_images(reference, [reference, changed.reshape(pixels.shape)])
        assert comparison.figures().passed is passes


def test_images_that_reach_further_may_have_more_values_off() -> None:
    """In proportion to their root mean square; the float32 error itself is judged relative to their range anyway."""
    reference = _images()
    reference *= 4 / np.sqrt((reference.astype(np.float64) ** 2).mean())
    comparison = Comparison("synthesis", "reference", 1)
    comparison.add_images(reference, [reference, to_pixels(reference)])
    assert comparison.figures().allowed_fraction == pytest.approx(4e-4, rel=1e-3)


def test_few_values_are_judged_by_what_chance_allows() -> None:
    """The Poisson bound: a true share at the tolerance stays within it in 999 of 1000 draws, and hardly more."""
    random = np.random.RandomState(1)
    for count in (12_288, 98_304, 300_000):
        bound = allowed_share(1e-4, count) * count
        draws = random.poisson(1e-4 * count, 100_000)
        assert (draws <= bound).mean() >= 0.9985
        assert (draws <= bound - 1).mean() < 0.9995
    assert allowed_share(1e-4, ENOUGH_VALUES) == 1e-4


def test_repetitions_do_not_count_as_more_values() -> None:
    reference = _images(count=1, side=64)
    repeated = np.repeat(reference, 50, axis=0)
    comparison = Comparison("pipeline", "golden", 50)
    comparison.add_images(repeated, [repeated, to_pixels(repeated)], distinct=1)
    assert comparison.figures().samples == 1
    assert comparison.figures().allowed_fraction == allowed_share(1e-4, reference.size)


def test_arrays_of_another_shape_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="can't be compared"):
        Comparison("mapping", "golden", 1).add(np.zeros((1, 2)), np.zeros((1, 3)))


@pytest.mark.parametrize("share", [1e-4, 0.01, 0.5, 3.0, 1e6])
def test_the_share_allowed_is_found_for_images_of_any_size(share: float) -> None:
    """Images that reach 10,000 times as far as they should once made the search for it endless."""
    for count in (1, 1000, ENOUGH_VALUES - 1, ENOUGH_VALUES):
        assert min(share, 1.0) <= allowed_share(share, count) <= max(1.0, share)
