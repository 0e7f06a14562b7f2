"""Means and covariances of samples that arrive a few at a time, and how far chance moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runtime.distribution.sampling import GROUPS

HALVES_TO_TRUTH = 4.0
"""Two halves of N samples are this many times as far apart, by a distance that is quadratic in the error, as N samples
are from the truth: each half errs twice as much as all, in the square, and the errors of both add up."""


@dataclass(frozen=True)
class Moments:
    """Of `count` vectors: their mean [p], and the sum of outer products of what they differ from it, [p, p]. float64.

    Sums are merged pairwise as Chan, Golub and LeVeque do (1979): no large numbers are subtracted.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Of vectors [n, p], at least one."""
        values = np.asarray(rows, np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred)

    def merged(self, other: Moments) -> Moments:
        """Of the vectors of both."""
        count = self.count + other.count
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), scatter)

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased estimate [p, p], of two vectors or more."""
        return self.scatter / (self.count - 1)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each component, [p]."""
        return np.sqrt(np.diag(self.covariance))


class GroupedMoments:
    """The moments of samples in GROUPS parts, so that the parts say how far chance moves the whole."""

    def __init__(self) -> None:
        self._groups: list[Moments | None] = [None] * GROUPS

    def add(self, group: int, rows: np.ndarray) -> None:
        """Take vectors [n, p] into a group."""
        new, known = Moments.of(rows), self._groups[group]
        self._groups[group] = new if known is None else known.merged(new)

    def total(self) -> Moments:
        """Of all samples."""
        return _merged(self.groups)

    def halves(self) -> tuple[Moments, Moments]:
        """Of the first half of the groups, and of the second."""
        groups = self.groups
        return _merged(groups[: GROUPS // 2]), _merged(groups[GROUPS // 2 :])

    @property
    def groups(self) -> list[Moments]:
        """Of each group that has samples."""
        return [group for group in self._groups if group is not None]

    def covariance_error(self) -> float:
        """Standard error of the whole covariance, as a Frobenius norm: sqrt(sum |C_g - mean C|^2 / (G (G - 1))).

        From the spread over the groups, not from a formula for Gaussians: neither `w` nor images are Gaussian.
        """
        covariances = np.stack([group.covariance for group in self.groups])
        spread = float(((covariances - covariances.mean(axis=0)) ** 2).sum())
        return math.sqrt(spread / (len(covariances) * (len(covariances) - 1)))

    def frechet_error(self) -> float:
        """The Fréchet distance by which chance alone moves so many samples from the truth; see HALVES_TO_TRUTH."""
        return frechet_distance(*self.halves()) / HALVES_TO_TRUTH


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson and Landau, 1982): 0 where they are the same.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), by symmetric eigendecompositions.
    """
    step = a.mean - b.mean
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    inner = root @ b.covariance @ root
    cross = np.sqrt(np.linalg.eigvalsh((inner + inner.T) / 2).clip(0)).sum()
    distance = step @ step + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(0.0, float(distance))


def _merged(groups: list[Moments]) -> Moments:
    total = groups[0]
    for group in groups[1:]:
        total = total.merged(group)
    return total
