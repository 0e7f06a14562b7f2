"""Sound engines are equal, broken ones are caught by the figure that shows them; what can't be judged says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.backends import RunOptions
from runtime.distribution import DistributionFigures, Instruments, Sampling, all_equal, compare, measure
from runtime.distribution.networks import AttributeNetwork
from runtime.errors import InputError
from tests.runtime.distribution.generators import SAMPLING, SIDE, WIDTH, Change, Linear, sampling_of
from tests.runtime.distribution.models import brightness

MOMENTS = [f"{figure} of {what}" for what in ("w", "pixels") for figure in ("mean", "covariance", "Fréchet distance")]
PATHS = ["path length in Z", "path length in W"]
CONDITIONAL = sampling_of(c_dim=3)


def _figures(engine: Linear, sampling: Sampling = SAMPLING, epsilon: float = 1e-3) -> dict[str, DistributionFigures]:
    instruments = Instruments.open(SIDE, epsilon=epsilon)
    reference, other = (measure(drawer, sampling, instruments) for drawer in (Linear(), engine))
    return {item.figure: item for item in compare(reference, other, "fp32")}


def _failed(figures: dict[str, DistributionFigures]) -> list[str]:
    return [name for name, item in figures.items() if item.passed is False]


def _first_of(w: np.ndarray, step: float) -> np.ndarray:
    moved: np.ndarray = w + step * np.eye(WIDTH)[0]
    return moved


def test_an_engine_that_rounds_otherwise_is_equal() -> None:
    figures = _figures(Linear(image_change=lambda image: image * (1 + 1e-6)))
    assert list(figures) == MOMENTS + PATHS
    assert all(item.passed for item in figures.values())
    assert figures["mean of w"].sampling_error == pytest.approx(1 / np.sqrt(2000), rel=0.1)
    assert figures["path length in W"].reference == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("engine", "sampling", "caught"),
    [
        (Linear(w_change=lambda w: _first_of(w, 0.06)), SAMPLING, ["mean of w", "mean of pixels"]),
        (Linear(w_change=lambda w: 0.9 * w), SAMPLING, ["covariance of w", *PATHS]),
        (Linear(label_change=lambda c: c * [1, 1, 0]), CONDITIONAL, ["mean of w", "Fréchet distance of w"]),
        (Linear(noise_strength=0.5), SAMPLING, ["covariance of pixels", "mean of pixels"]),
        (Linear(image_change=lambda image: image + 0.03), SAMPLING, ["mean of pixels"]),
        (Linear(image_change=lambda image: np.tanh(image)), SAMPLING, ["covariance of pixels", *PATHS]),
    ],
    ids=["w moved", "psi", "class lost", "noise strength", "colour cast", "contrast"],
)
def test_a_broken_engine_is_caught(engine: Linear, sampling: Sampling, caught: list[str]) -> None:
    failed = _failed(_figures(engine, sampling))
    assert set(caught) <= set(failed), failed


def test_a_shift_that_no_picture_shows_is_caught_by_many() -> None:
    """A tenth of one component's deviation: some 24 dB of w in one pixel, and 2.2 standard errors of 500 samples."""
    shifted = Linear(w_change=lambda w: _first_of(w, 0.1))
    found = _figures(shifted, sampling_of(samples=500))["mean of w"]
    assert found.passed is False
    assert found.note == "w[0], the worst of 16"
    assert found.difference == pytest.approx(0.1)
    assert found.engine is not None
    assert found.reference is not None
    assert found.engine - found.reference == pytest.approx(0.1)
    few = _figures(Linear(w_change=lambda w: _first_of(w, 0.02)), sampling_of(samples=500))["mean of w"]
    assert few.passed is True  # within the error of 0.045: more samples would tell


def test_float16_is_judged_where_a_step_is_longer_than_its_rounding() -> None:
    half = Linear(image_change=lambda image: image.astype(np.float16))
    short, middle, long = (_figures(half, epsilon=epsilon) for epsilon in (1e-5, 1e-4, 1e-2))
    for name in PATHS:
        assert short[name].passed is None
        assert "of the engine's may be rounding: a larger --path-epsilon" in short[name].note
        assert middle[name].passed is not False
        assert long[name].passed is True
        assert (long[name].rounding or 0) < 0.01
    assert _failed(short) == []


def test_a_difference_that_rounding_may_make_is_not_judged() -> None:
    """Pixels in steps half as large as a path's: 2 % more than the path, where the sampling error is 1 %."""
    coarse = Linear(image_change=lambda image: np.round(image / 1e-3) * 1e-3)
    found = _figures(coarse, epsilon=2e-3)["path length in W"]
    assert found.passed is None
    assert found.note == "rounding alone may make the difference: a larger --path-epsilon has less of it"
    assert _figures(coarse, epsilon=2e-2)["path length in W"].passed is True


def test_rounding_never_excuses_what_it_did_not_do() -> None:
    """Half the contrast, in float16: path lengths are a quarter, more than rounding can account for."""
    broken = Linear(image_change=lambda image: (image / 2).astype(np.float16))
    assert set(PATHS) <= set(_failed(_figures(broken, epsilon=1e-2)))


def test_a_constant_engine_has_no_path() -> None:
    figures = _figures(Linear(image_change=lambda image: image * 0))
    assert set(PATHS) <= set(_failed(figures))
    assert figures[PATHS[0]].engine == 0


@pytest.mark.parametrize(
    ("engine", "what"),
    [(lambda spoil: Linear(w_change=spoil), "w"), (lambda spoil: Linear(image_change=spoil), "an image")],
    ids=["w", "image"],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_fail(engine: Callable[[Change], Linear], what: str, value: float) -> None:
    def spoil(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values.flat[0] = value
        return values

    (only,) = _figures(engine(spoil)).values()
    assert (only.figure, only.passed, only.note) == ("finite values", False, f"NaN or infinity in {what} of the engine")


def test_a_statistic_that_never_changes_is_given_a_level() -> None:
    """A white corner: rounding moves its mean, and its deviation is none."""

    def corner(value: float) -> Linear:
        def paint(image: np.ndarray) -> np.ndarray:
            image = image.copy()
            image[:, :, 0, 0] = value
            return image

        return Linear(image_change=paint)

    instruments = Instruments.open(SIDE)
    found = [measure(corner(value), SAMPLING, instruments) for value in (1.0, 1.0001, 1.001)]
    passed = [compare(found[0], one, "fp32")[MOMENTS.index("mean of pixels")].passed for one in found]
    assert passed == [True, True, False]


def _negative(image: np.ndarray) -> np.ndarray:
    """Every other picture's negative, by its first row."""
    return image * np.where(image[:, :, :1, :1] > 0, 1, -1)


def _separability(path: Path, samples: int, reference: Linear, engine: Linear) -> list[DistributionFigures]:
    instruments = Instruments(attributes=(AttributeNetwork(brightness(path), RunOptions(threads=1)),))
    found, other = (measure(one, sampling_of(samples=samples), instruments) for one in (reference, engine))
    return compare(found, other, "fp32")[-2:]


def test_separability_of_a_linear_attribute(tmp_path: Path) -> None:
    """Brightness is a plane's side in Z and in W; not so when the engine draws every other picture's negative."""
    same = _separability(tmp_path / "a.onnx", 2000, Linear(), Linear())
    assert [item.figure for item in same] == ["separability in Z", "separability in W"]
    assert all(item.passed and item.reference == pytest.approx(1, abs=0.05) for item in same)
    broken = _separability(tmp_path / "a.onnx", 2000, Linear(), Linear(image_change=_negative))
    assert [item.passed for item in broken] == [False, False]
    assert all(item.engine == pytest.approx(2, rel=0.1) for item in broken)


def test_an_engine_that_lost_the_attribute_fails(tmp_path: Path) -> None:
    """No plane tells the reference's brightness; all that the engine draws is bright, which needs no telling."""
    reference, engine = Linear(image_change=_negative), Linear(image_change=lambda image: image * 0 + 1)
    for item in _separability(tmp_path / "a.onnx", 2000, reference, engine):
        assert (item.passed, item.engine) == (False, 1)
        assert "nothing to tell" in item.note


def test_separability_of_too_few_images_is_not_judged(tmp_path: Path) -> None:
    for item in _separability(tmp_path / "a.onnx", 60, Linear(), Linear()):
        assert item.passed is None
        assert "draw over 68" in item.note


def test_what_was_not_judged_does_not_fail() -> None:
    figures = list(_figures(Linear()).values())
    assert all_equal(figures)
    assert all_equal([replace(item, passed=None) for item in figures])
    assert not all_equal([*figures, replace(figures[0], passed=False)])


def test_samples_are_the_same_each_time_and_those_of_a_seed() -> None:
    sampling = sampling_of(samples=47, c_dim=3, chunk=3)
    first, again, other = (list(one.images()) for one in (sampling, sampling, replace(sampling, seed=1)))
    assert sum(len(item.z) for _, item in first) == 47
    assert max(len(item.z) for _, item in first) == 3
    assert sorted({group for group, _ in first}) == list(range(10))
    for (_, a), (_, b), (_, c) in zip(first, again, other):
        np.testing.assert_array_equal(a.z, b.z)
        np.testing.assert_array_equal(a.noise[0], b.noise[0])
        assert (a.z != c.z).all()
    labels = np.concatenate([item.c for _, item in first if item.c is not None])
    assert set(np.argmax(labels, axis=1)) == {0, 1, 2}


@pytest.mark.parametrize("options", [{"samples": 19}, {"samples": 1_000_001}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        sampling_of(**options)


@pytest.mark.parametrize("epsilon", [0.0, 1e-7, 0.1, float("nan")])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(InputError, match=r"expected 1e-06 to 0\.03"):
        Instruments.open(SIDE, epsilon=epsilon)
