"""The inputs that two drawers are compared on: drawn from one seed, a few at a time, the same whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import default_batch
from runtime.latents import one_hot
from runtime.manifest import NoiseMode
from runtime.noise import Noise, check_seed

MIN_SAMPLES, MAX_SAMPLES = 20, 1_000_000
"""At least two samples in each of GROUPS, since one has no covariance. At most what a day draws at 64 pixels."""
GROUPS = 10
"""Parts of the samples, whose spread says how far chance moves a covariance: known to a quarter of itself by ten."""
SAMPLES_PER_PATH = 2
"""A path for every second sample: one takes four images, so that paths take twice the time of the samples."""
_IMAGES, _PATHS = 0, 1
"""Streams of random numbers of their own, so that paths are the same however many samples are drawn before."""


@dataclass(frozen=True)
class ImageInputs:
    """Inputs of n images."""

    z: np.ndarray  # [n, z_dim]
    c: np.ndarray | None  # [n, c_dim]
    noise: Noise


@dataclass(frozen=True)
class PathInputs:
    """Ends of n paths, and the points on them: shares `t` [n] of the way, 0 to 1. Both ends have the same label."""

    first: np.ndarray  # [n, z_dim]
    last: np.ndarray  # [n, z_dim]
    t: np.ndarray  # [n], float64
    c: np.ndarray | None  # [n, c_dim]


@dataclass(frozen=True)
class Sampling:
    """How many samples of which generator, and the seed they come from.

    `rows` is K, the styles that synthesis takes; every row is given the same `w`, so mixing is not part of it. `fresh`
    holds (H, W) of each noise map that is drawn anew for every sample; without any, `noise` is what all images have.
    """

    samples: int
    seed: int
    z_dim: int
    c_dim: int
    rows: int
    chunk: int
    noise: str = "const"
    fresh: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not MIN_SAMPLES <= self.samples <= MAX_SAMPLES:
            raise InputError(f"{self.samples} samples of the distribution, expected {MIN_SAMPLES} to {MAX_SAMPLES:,}")
        check_seed(self.seed)

    @classmethod
    def of(cls, bundle: Bundle, samples: int, seed: int) -> Sampling:
        """Samples of a bundle's generator; fresh noise where its graph takes noise. Raises InputError."""
        spec, mode = bundle.spec, bundle.manifest.options.noise
        return cls(
            samples=samples,
            seed=seed,
            z_dim=spec.z_dim,
            c_dim=spec.c_dim,
            rows=len(bundle.manifest.options.sources),
            chunk=default_batch(spec),
            noise="none" if mode is NoiseMode.NONE else "const",
            fresh=spec.noise_shapes if mode is NoiseMode.EXPLICIT else (),
        )

    @property
    def paths(self) -> int:
        """How many paths are measured in each space."""
        return max(MIN_SAMPLES, self.samples // SAMPLES_PER_PATH)

    def images(self) -> Iterator[tuple[int, ImageInputs]]:
        """The samples, a few at a time, each few with the number of their group."""
        random = np.random.RandomState([self.seed, _IMAGES])
        for group, count in _parts(self.samples, self.chunk):
            z = random.randn(count, self.z_dim).astype(np.float32)
            c = self._labels(random, count)
            maps = [random.randn(count, 1, *shape).astype(np.float32) for shape in self.fresh]
            yield group, ImageInputs(z, c, maps or self.noise)

    def path_parts(self) -> Iterator[PathInputs]:
        """The paths, a few at a time."""
        random = np.random.RandomState([self.seed, _PATHS])
        for start in range(0, self.paths, self.chunk):
            count = min(self.chunk, self.paths - start)
            first, last = (random.randn(count, self.z_dim).astype(np.float32) for _ in range(2))
            yield PathInputs(first, last, random.uniform(size=count), self._labels(random, count))

    def styles(self, w: np.ndarray) -> np.ndarray:
        """`w` [N, w_dim] -> styles [N, K, w_dim], every row the same."""
        return np.repeat(w[:, None], self.rows, axis=1)

    def _labels(self, random: np.random.RandomState, count: int) -> np.ndarray | None:
        return one_hot(random.randint(self.c_dim, size=count), self.c_dim) if self.c_dim else None


def _parts(samples: int, chunk: int) -> Iterator[tuple[int, int]]:
    """(group, how many samples), no more than `chunk` at once and none across two groups."""
    edges = np.arange(GROUPS + 1) * samples // GROUPS
    for group in range(GROUPS):
        for start in range(edges[group], edges[group + 1], chunk):
            yield group, int(min(chunk, edges[group + 1] - start))
