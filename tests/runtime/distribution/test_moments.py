"""Moments of samples that arrive a few at a time: NumPy's own, and known distances of Gaussians."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.distribution.moments import GroupedMoments, Moments, frechet_distance
from runtime.distribution.pixels import pixel_statistics, statistic_names
from runtime.distribution.sampling import GROUPS


def _rows(count: int = 500, seed: int = 0) -> np.ndarray:
    """Correlated, far from zero: where a naive sum of squares would lose its digits."""
    random = np.random.RandomState(seed)
    return random.randn(count, 4) @ random.randn(4, 4) + 1e6


def _grouped(rows: np.ndarray) -> GroupedMoments:
    result = GroupedMoments()
    for group, part in enumerate(np.array_split(rows, GROUPS)):
        for some in np.array_split(part, 3):
            result.add(group, some)
    return result


def test_moments_in_parts_are_those_of_numpy() -> None:
    rows = _rows()
    total = _grouped(rows).total()
    assert total.count == len(rows)
    np.testing.assert_allclose(total.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(total.covariance, np.cov(rows, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(total.deviation, rows.std(axis=0, ddof=1), rtol=1e-9)


def test_the_covariance_error_is_the_error() -> None:
    """Of many sets of samples of a known covariance: the root mean square of what they are off."""
    sets = [np.random.RandomState(seed).laplace(size=(200, 3)) for seed in range(200)]
    off = [np.linalg.norm(np.cov(rows, rowvar=False) - 2 * np.eye(3)) for rows in sets]  # laplace's variance is 2
    told = [_grouped(rows).covariance_error() for rows in sets]
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(np.sqrt(np.mean(np.square(off))), rel=0.1)


def test_the_frechet_error_is_the_error() -> None:
    truth = Moments(2, np.zeros(3), np.eye(3))
    sets = [np.random.RandomState(seed).randn(400, 3) for seed in range(200)]
    off = [frechet_distance(Moments.of(rows), truth) for rows in sets]
    assert np.mean([_grouped(rows).frechet_error() for rows in sets]) == pytest.approx(np.mean(off), rel=0.15)


def test_frechet_distance_of_known_gaussians() -> None:
    def gaussian(mean: list[float], deviations: list[float]) -> Moments:
        return Moments(2, np.array(mean), np.diag(np.square(deviations)))

    a, b = gaussian([0, 0], [1, 2]), gaussian([3, 4], [2, 5])
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(a, b) == pytest.approx(25 + 1 + 9)  # squared steps of the means and of the deviations
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [Moments(2, turn @ one.mean, turn @ one.scatter @ turn.T) for one in (a, b)]
    assert frechet_distance(*turned) == pytest.approx(35)


def test_frechet_distance_of_flat_gaussians() -> None:
    """More components than samples: the covariance has no inverse, and needs none."""
    flat = Moments.of(np.random.RandomState(0).randn(5, 20))
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixel_statistics_are_what_their_names_say(channels: int) -> None:
    image = np.random.RandomState(0).randn(2, channels, 10, 10).astype(np.float32)
    found = dict(zip(statistic_names(channels), pixel_statistics(image)[1]))
    assert len(found) == channels * 19
    colour = "grey" if channels == 1 else "red"
    plane = image[1, 0].astype(np.float64)
    assert found[f"mean of {colour}"] == pytest.approx(plane.mean())
    assert found[f"deviation of {colour}"] == pytest.approx(plane.std())
    detail = (np.diff(plane, axis=0) ** 2).mean() + (np.diff(plane, axis=1) ** 2).mean()
    assert found[f"detail of {colour}"] == pytest.approx(np.sqrt(detail / 2))
    assert found[f"block 0,3 of {colour}"] == pytest.approx(plane[:2, 7:].mean())
    assert found[f"block 1,0 of {colour}"] == pytest.approx(plane[2:5, :2].mean())
