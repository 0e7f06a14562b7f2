"""Perceptual path length: how much a picture changes on the way from one latent to another (arXiv 1812.04948, 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.distribution.distances import Distance
from runtime.distribution.drawer import Drawer
from runtime.distribution.sampling import PathInputs, Sampling

EPSILON = 1e-4
"""The paper's own subdivision of a path."""
MIN_EPSILON, MAX_EPSILON = 1e-6, 0.03
"""Below, float32 rounds away what a step changes in a latent; above, a step no longer is a tangent of the path: of the
bundled checkpoint's length in Z, two fifths are bend at 0.03."""
KEPT_PERCENTILES = (1.0, 99.0)
"""Lengths outside are dropped, as in the paper's evaluation: single paths that jump would make up most of the mean."""
BEND_PATHS = 64
"""Paths of which a third point is drawn, to see rounding: one is a mean over many values, so that few paths tell it."""


Path = Callable[[np.ndarray], np.ndarray]
"""Where on n paths, [n] -> the `w` there, float32 [n, w_dim]."""


@dataclass(frozen=True)
class PathLengths:
    """Of each of M paths, d(G(t), G(t + eps)) / eps^2; and of the first of them, what rounding may have made of it.

    `bends`, of the first `BEND_PATHS`, is half the squared second difference of three points a step apart, over eps^2.
    On a smooth path it vanishes with eps^2. Rounding that differs from point to point shows in full: where it is
    independent at each, by 3/2 of what it adds to a length, and where it comes in independent jumps, by 1. (More and
    Wild, "Estimating computational noise", 2011, tell noise by such differences.)
    """

    lengths: np.ndarray  # [M]
    bends: np.ndarray  # [min(M, BEND_PATHS)]


@dataclass(frozen=True)
class PathRule:
    """How paths are measured: the step `epsilon`, what `distance` is, and whether all start at their `ends`.

    With `ends` the points are at t = 0 and eps, where latents are those of training; else t is anywhere on the path.
    """

    distance: Distance
    epsilon: float = EPSILON
    ends: bool = False


def slerp(first: np.ndarray, last: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Spherical interpolation (Shoemake, 1985) of [N, D] and [N, D] at `t` [N] -> float64 [N, D].

    The direction turns evenly from one to the other; the length goes evenly from that of one to that of the other,
    which mapping networks that normalise their input do not see.
    """
    a, b = first.astype(np.float64), last.astype(np.float64)
    sizes = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
    a, b = a / sizes[0], b / sizes[1]
    share = t[:, None]
    across = b - (a * b).sum(axis=1, keepdims=True) * a
    span = np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.arctan2(span, (a * b).sum(axis=1, keepdims=True))
    across = np.divide(across, span, out=np.zeros_like(across), where=span > 0)
    return (a * np.cos(share * angle) + across * np.sin(share * angle)) * lerp(*sizes, t)


def lerp(first: np.ndarray, last: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Linear interpolation of [N, D] and [N, D] at `t` [N] -> float64 [N, D]."""
    share = t[:, None]
    return first.astype(np.float64) * (1 - share) + last.astype(np.float64) * share


def path_lengths(drawer: Drawer, sampling: Sampling, rule: PathRule, in_z: bool) -> PathLengths:
    """Lengths of all paths of `sampling`, in Z (equation 2) or in W (equation 3), without truncation."""
    lengths: list[np.ndarray] = []
    bends: list[np.ndarray] = []
    for inputs in sampling.path_parts():
        path = _in_z(drawer, inputs) if in_z else _in_w(drawer, inputs)
        start = np.zeros_like(inputs.t) if rule.ends else inputs.t
        here, there = (
            drawer.draw(sampling.styles(path(start + step * rule.epsilon)), sampling.noise) for step in (0, 1)
        )
        found = rule.distance.between(here, there)
        lengths.append(found / rule.epsilon**2)
        bent = min(BEND_PATHS - sum(map(len, bends)), len(found))
        if bent > 0:
            beyond = drawer.draw(sampling.styles(path(start + 2 * rule.epsilon)[:bent]), sampling.noise)
            # |a - 2b + c|^2 = 2 |a - b|^2 + 2 |b - c|^2 - |a - c|^2, of any distance that is a squared one.
            second = 2 * found[:bent] + 2 * rule.distance.between(there[:bent], beyond)
            second -= rule.distance.between(here[:bent], beyond)
            bends.append(second / 2 / rule.epsilon**2)
    return PathLengths(np.concatenate(lengths), np.concatenate(bends))


def _in_z(drawer: Drawer, inputs: PathInputs) -> Path:
    return lambda t: drawer.map(slerp(inputs.first, inputs.last, t).astype(np.float32), inputs.c)


def _in_w(drawer: Drawer, inputs: PathInputs) -> Path:
    first, last = (drawer.map(z, inputs.c) for z in (inputs.first, inputs.last))
    return lambda t: lerp(first, last, t).astype(np.float32)
