"""What a plane tells of an attribute: all of it, nothing, or too easily."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from runtime.distribution.separability import conditional_entropy, separability
from runtime.errors import MissingDependencyError

LATENTS = np.random.RandomState(0).randn(4000, 6).astype(np.float32)


def test_entropy_of_known_tables() -> None:
    yes, no = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert conditional_entropy(yes, yes) == 0
    assert conditional_entropy(yes, ~yes) == 0  # a prediction that is always wrong tells as much
    assert conditional_entropy(yes, no) == pytest.approx(math.log(2))
    assert conditional_entropy(yes, np.ones(4, bool)) == pytest.approx(math.log(2))


def test_what_a_plane_tells_scores_one() -> None:
    found = separability(LATENTS, [LATENTS[:, 0] - 0.5 * LATENTS[:, 3]])
    assert found.score == pytest.approx(1, abs=0.02)
    assert found.note == ""


def test_what_no_plane_tells_scores_two_an_attribute() -> None:
    """Labels that have nothing to do with the latents, and those that a plane can't part: same side, near and far."""
    margins = [np.random.RandomState(1).randn(4000), LATENTS[:, 0] * LATENTS[:, 1]]
    found = separability(LATENTS, margins)
    assert found.score == pytest.approx(4, rel=0.03)
    assert found.error < 0.1


def test_the_error_is_that_of_chance() -> None:
    """Of many sets of samples whose labels are wrong in one of five cases: how far their scores scatter."""
    found = []
    for seed in range(60):
        random = np.random.RandomState(seed)
        latents = random.randn(1000, 2).astype(np.float32)
        flips = np.where(random.uniform(size=1000) < 0.2, -1, 1)
        found.append(separability(latents, [np.sign(latents[:, 0]) * flips]))
    assert np.mean([one.error for one in found]) == pytest.approx(np.std([one.score for one in found]), rel=0.3)


def test_less_confident_half_is_left_out() -> None:
    """Labels are wrong where the classifier isn't sure: what is kept is told in full."""
    sure = np.abs(LATENTS[:, 0]) > np.median(np.abs(LATENTS[:, 0]))
    margin = np.where(sure, LATENTS[:, 0], -0.01 * LATENTS[:, 0])
    assert separability(LATENTS, [margin]).score == pytest.approx(1, abs=0.01)


def test_too_few_points_are_parted_by_chance() -> None:
    latents = np.random.RandomState(0).randn(60, 30).astype(np.float32)
    found = separability(latents, [np.random.RandomState(1).randn(60)])
    assert found.score == pytest.approx(1, abs=0.2)
    assert "draw over 124" in found.note


def test_an_attribute_that_all_have_says_nothing() -> None:
    found = separability(LATENTS, [np.ones(len(LATENTS))])
    assert found.score == 1
    assert "nothing to tell" in found.note


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(MissingDependencyError, match=r"stylegan-edge\[metrics\]"):
        separability(LATENTS, [LATENTS[:, 0]])
