"""Figures of pictures, the worst of many samples, and what a difference looks like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import OutputError
from runtime.images import open_image_folder
from runtime.parity import to_pixels
from runtime.parity.levels import LevelHistogram, level_differences
from runtime.parity.picture import Drawing, ImagePair, PictureComparison, WorstSample, sample_figures
from runtime.parity.samples import Sample
from runtime.parity.views import HEAT, amplified_difference, colours, heat_map, view_names, views, write_pictures
from runtime.records import from_plain, to_plain

SAMPLE = Sample((7,), None, None, 0.5, None, "const", None, None)


def _image(channels: int = 3, side: int = 32) -> np.ndarray:
    return np.random.RandomState(0).uniform(-0.9, 0.9, (channels, side, side)).astype(np.float32)


def _pair(reference: np.ndarray, measured: np.ndarray) -> ImagePair:
    return ImagePair(reference, measured, to_pixels(measured[None])[0])


def _shifted(levels: float, channels: int = 3) -> ImagePair:
    """An image, and the same brighter by so many levels."""
    reference = _image(channels)
    return _pair(reference, reference + np.float32(levels / 127.5))


def test_levels_and_their_percentiles_are_exact() -> None:
    differences = np.repeat(np.array([0, 1, 2, 9, 200], np.uint8), [500, 400, 90, 9, 1])
    histogram = LevelHistogram()
    for part in np.array_split(differences, 7):
        histogram.add(part.reshape(1, -1))
    levels = histogram.levels()
    assert (levels.p50, levels.p90, levels.p99, levels.p99_9, levels.max) == (0, 1, 2, 9, 200)
    assert levels.mean == pytest.approx(differences.mean())
    mean_square = (differences.astype(float) ** 2).mean()
    assert histogram.psnr_8bit() == pytest.approx(10 * np.log10(255**2 / mean_square))


def test_a_percentile_is_reached_by_one_value_more() -> None:
    """Of 500 and 500 values, half do not exceed the smaller; of 499 and 501, they do."""
    for count, expected in ((500, 0), (499, 1)):
        histogram = LevelHistogram()
        histogram.add(np.repeat(np.array([0, 1], np.uint8), [count, 1000 - count]))
        assert histogram.levels().p50 == expected


def test_differences_of_8_bits_do_not_wrap() -> None:
    a, b = np.array([0, 255, 3], np.uint8), np.array([255, 0, 5], np.uint8)
    assert level_differences(a, b).tolist() == [255, 255, 2]


def test_figures_of_one_sample_are_what_they_say() -> None:
    pair = _shifted(3)
    figures = sample_figures(pair)
    spread = float(pair.reference.max() - pair.reference.min())
    assert figures.psnr == pytest.approx(20 * np.log10(spread / (3 / 127.5)), abs=1e-3)
    assert figures.psnr_8bit == pytest.approx(20 * np.log10(255 / 3), abs=0.1)
    assert (figures.levels.p50, figures.levels.max - 3 in (0, 1)) == (3, True)
    assert 0.9 < figures.ssim < 1
    assert figures.perceptual is None


def test_an_image_that_is_the_same_has_no_ratio() -> None:
    figures = sample_figures(_shifted(0), distance=lambda a, b: float(np.abs(a - b).sum()))
    assert (figures.psnr, figures.psnr_8bit, figures.levels.max, figures.perceptual) == (None, None, 0, 0.0)
    assert figures.ssim == pytest.approx(1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_no_ratio_and_is_worse_than_anything(value: float) -> None:
    measured = _image()
    measured[0, 5, 5] = value
    broken = _pair(_image(), measured)
    assert not sample_figures(broken).finite
    assert sample_figures(broken, lambda a, b: 1 / 0).psnr is None, "nor is a network asked about it"
    comparison = PictureComparison("fp32")
    comparison.add(SAMPLE, Drawing("synthesis", 1, 0), broken)
    comparison.add(replace(SAMPLE, seeds=(8,)), Drawing("synthesis", 1, 0), _shifted(100))
    comparison.settle()
    assert comparison.worst.sample == SAMPLE
    assert not comparison.worst.figures.finite


def _compared() -> PictureComparison:
    """Two samples: the first off by 1 level in batches of 1 and by 4 in a batch of 2, the second by 3."""
    comparison = PictureComparison("fp16", lambda a, b: float(np.abs(a - b).mean() * 127.5))
    other = replace(SAMPLE, seeds=(8,))
    comparison.add(SAMPLE, Drawing("synthesis", 1, 0), _shifted(1))
    comparison.add(SAMPLE, Drawing("pipeline", 2, 1), _shifted(4))
    comparison.settle()
    comparison.add(other, Drawing("synthesis", 1, 0), _shifted(3))
    comparison.settle()
    return comparison


def test_the_worst_sample_is_kept_with_its_place_and_its_images() -> None:
    comparison = _compared()
    worst = comparison.worst
    assert (worst.precision, worst.sample, worst.drawing) == ("fp16", SAMPLE, Drawing("pipeline", 2, 1))
    assert worst.figures == sample_figures(comparison.worst_pair, lambda a, b: worst.figures.perceptual or 0.0)
    assert np.array_equal(comparison.worst_pair.measured, _shifted(4).measured)
    assert from_plain(WorstSample, to_plain(worst), "worst") == worst


def test_each_sample_counts_in_its_worst_drawing_and_each_drawing_in_the_levels() -> None:
    figures = _compared().figures()
    assert (figures.samples, figures.drawings) == (2, 3)
    assert figures.levels.mean == pytest.approx((1 + 4 + 3) / 3, abs=0.02)
    assert figures.perceptual_max == pytest.approx(4, rel=1e-3)
    assert figures.perceptual_mean == pytest.approx((4 + 3) / 2, rel=1e-3)
    similar = [sample_figures(_shifted(levels)).ssim for levels in (4, 3)]
    assert (figures.ssim_min, figures.ssim_mean) == pytest.approx((min(similar), sum(similar) / 2))
    assert figures.psnr_min == sample_figures(_shifted(4)).psnr


def test_of_equal_levels_the_lower_psnr_is_worse() -> None:
    """Both are one level off at most; the second everywhere."""
    reference = _image()
    few = reference.copy()
    few[0, 0, 0] += 1 / 127.5
    comparison = PictureComparison("fp32")
    for seed, pair in ((1, _pair(reference, few)), (2, _shifted(1))):
        comparison.add(replace(SAMPLE, seeds=(seed,)), Drawing("synthesis", 1, 0), pair)
    comparison.settle()
    assert comparison.worst.sample.seeds == (2,)


def test_what_is_kept_does_not_hold_on_to_a_whole_batch() -> None:
    batch = np.stack([_image()] * 4)
    comparison = PictureComparison("fp32")
    comparison.add(SAMPLE, Drawing("synthesis", 4, 2), ImagePair(batch[2], batch[2], to_pixels(batch)[2]))
    comparison.settle()
    assert comparison.worst_pair.reference.base is None


def test_without_a_sample_there_is_no_worst() -> None:
    with pytest.raises(ValueError, match="no sample was settled"):
        _ = PictureComparison("fp32").worst


@pytest.mark.parametrize(
    ("levels", "gain"), [(1e-4, 1 << 20), (0.5, 128), (0.99, 128), (1.01, 64), (15, 8), (127, 1), (200, 1)]
)
def test_the_gain_brings_the_difference_into_range(levels: float, gain: int) -> None:
    """`levels` more everywhere: a grey that is lighter, as far as the gain says."""
    shown = amplified_difference(_shifted(levels))
    assert shown.gain == gain
    assert abs(int(np.median(shown.pixels)) - min(128 + gain * levels, 255)) <= 1
    darker = amplified_difference(_shifted(-levels))
    assert abs(int(np.median(darker.pixels)) - max(128 - gain * levels, 1)) <= 1


def test_where_nothing_differs_all_is_grey_and_dark() -> None:
    same = _shifted(0)
    assert (amplified_difference(same).pixels == 128).all()
    assert (heat_map(same).pixels == HEAT[0]).all()
    assert heat_map(same).top == 0


def test_a_single_value_that_differs_is_seen() -> None:
    """Fewer than one in a thousand differ, so that the percentile shown is 0."""
    reference = _image(side=64)
    measured = reference.copy()
    measured[1, 20, 30] += 2 / 127.5
    pair = _pair(reference, measured)
    shown, heat = amplified_difference(pair), heat_map(pair)
    assert shown.gain == 32
    assert np.argwhere(shown.pixels != 128).tolist() == [[20, 30, 1]]
    assert heat.top == pytest.approx(2 / 3, rel=1e-3)
    assert (heat.pixels[20, 30] == HEAT[-1]).all()


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (3, 3), (4, 3)])
def test_alpha_is_in_the_heat_and_not_in_the_difference(channels: int, shown: int) -> None:
    reference = _image(channels)
    measured = reference.copy()
    measured[-1] += 0.1
    pair = _pair(reference, measured)
    assert amplified_difference(pair).pixels.shape == (32, 32, shown)
    assert (amplified_difference(pair).pixels == 128).all() == (channels == 4)
    assert heat_map(pair).top == pytest.approx(0.1 * 127.5 / channels, rel=1e-3)


def test_nan_is_seen() -> None:
    measured = _image()
    measured[:, 3, 4] = np.nan
    pair = _pair(_image(), measured)
    assert (heat_map(pair).pixels[3, 4] == HEAT[-1]).all()
    assert (amplified_difference(pair).pixels[3, 4] == 255).all()


def test_more_heat_is_lighter_in_grey_too() -> None:
    scale = colours(np.linspace(0, 1, 257)).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(scale) > -1).all(), "but for the rounding of a level"
    assert scale[-1] > 5 * scale[0]
    assert (colours(np.array([-1.0, 0.5, 2.0])) == HEAT[[0, 4, 8]]).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_written_all_or_none(channels: int, tmp_path: Path) -> None:
    shown = views(_shifted(2, channels))
    names = view_names("worst")
    with open_image_folder(tmp_path / "new", names) as folder:
        write_pictures(folder, "worst", shown)
        assert not list((tmp_path / "new").glob("*.png"))
    assert sorted(names) == sorted(path.name for path in (tmp_path / "new").iterdir())
    written = np.asarray(Image.open(tmp_path / "new" / "worst-reference.png"))
    assert np.array_equal(written.reshape(32, 32, channels), shown.reference)
    with pytest.raises(OutputError, match="exists already"), open_image_folder(tmp_path / "new", names):
        pass
