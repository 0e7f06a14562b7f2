"""Path lengths of generators whose every step is known, and what rounding makes of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runtime.distribution.distances import PixelDistance
from runtime.distribution.paths import PathLengths, PathRule, lerp, path_lengths, slerp
from runtime.distribution.sampling import Sampling
from tests.runtime.distribution.generators import SIDE, WIDTH, Linear, sampling_of

RULE = PathRule(PixelDistance(), epsilon=1e-3)


def _ends(sampling: Sampling) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = list(sampling.path_parts())
    first, last, t = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "last", "t"))
    return first.astype(np.float64), last.astype(np.float64), t


def test_slerp_turns_evenly_between_its_ends() -> None:
    random = np.random.RandomState(0)
    a, b = (random.randn(6, 5) for _ in range(2))
    np.testing.assert_allclose(slerp(a, b, np.zeros(6)), a, atol=1e-12)
    np.testing.assert_allclose(slerp(a, b, np.ones(6)), b, atol=1e-12)
    quarters = [slerp(a, b, np.full(6, share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    units = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in quarters]
    turns = np.array([np.arccos((x * y).sum(axis=1)) for x, y in itertools.pairwise(units)])
    np.testing.assert_allclose(turns, np.broadcast_to(turns[0], turns.shape), rtol=1e-6)
    lengths = np.linalg.norm(quarters[2], axis=1)
    np.testing.assert_allclose(lengths, (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1)) / 2)


def test_slerp_of_one_direction_stays_on_it() -> None:
    a = np.ones((1, 4))
    np.testing.assert_allclose(slerp(a, 3 * a, np.array([0.5])), 2 * a)


def test_lerp_is_linear() -> None:
    np.testing.assert_allclose(lerp(np.array([[0.0, 4.0]]), np.array([[8.0, 0.0]]), np.array([0.25])), [[2.0, 3.0]])


def test_length_in_w_of_a_linear_generator() -> None:
    """Pixels are w, so that a step is that of w, wherever on the path."""
    sampling = sampling_of(samples=400)
    first, last, _ = _ends(sampling)
    found = path_lengths(Linear(), sampling, RULE, in_z=False)
    np.testing.assert_allclose(found.lengths, ((last - first) ** 2).mean(axis=1), rtol=1e-3)
    # Of standard normal ends, so that components differ with variance 2.
    assert found.lengths.mean() == pytest.approx(2, rel=0.1)
    assert found.bends.mean() < 1e-6 * found.lengths.mean()


@pytest.mark.parametrize("ends", [False, True])
def test_length_in_z_of_a_linear_generator(ends: bool) -> None:
    """On a sphere whose radius goes from that of one end to that of the other: radius * angle, and the radius' step."""
    sampling = sampling_of(samples=400)
    first, last, t = _ends(sampling)
    sizes = np.linalg.norm(first, axis=1), np.linalg.norm(last, axis=1)
    angle = np.arccos((first * last).sum(axis=1) / (sizes[0] * sizes[1]))
    radius = sizes[0] + (0 if ends else t) * (sizes[1] - sizes[0])
    expected = ((radius * angle) ** 2 + (sizes[1] - sizes[0]) ** 2) / WIDTH
    found = path_lengths(Linear(), sampling, PathRule(PixelDistance(), 1e-3, ends), in_z=True)
    np.testing.assert_allclose(found.lengths, expected, rtol=5e-3)


def _with_rounding(step: float, epsilon: float) -> tuple[PathLengths, PathLengths]:
    """Of the generator, and of one that rounds its pixels to multiples of `step`, on a larger picture."""
    rounded = Linear(image_change=lambda image: np.round(image / step) * step)
    rule, sampling = PathRule(PixelDistance(), epsilon), sampling_of(samples=2000)
    exact, coarse = (path_lengths(drawer, sampling, rule, in_z=False) for drawer in (Linear(), rounded))
    return exact, coarse


@pytest.mark.parametrize(("step", "epsilon"), [(1e-3, 1e-4), (1e-2, 1e-3), (1e-2, 1e-2)])
def test_bends_tell_what_rounding_adds(step: float, epsilon: float) -> None:
    """Neither much less than it adds, so that nothing is blamed on the generator, nor more than three halves of it."""
    exact, coarse = _with_rounding(step, epsilon)
    added = coarse.lengths[: len(coarse.bends)].mean() - exact.lengths[: len(exact.bends)].mean()
    assert 0.7 * added < coarse.bends.mean() < 1.8 * added


def test_images_are_of_the_size_expected() -> None:
    assert Linear().draw(np.zeros((2, 2, WIDTH), np.float32), "const").shape == (2, 1, SIDE, SIDE)
