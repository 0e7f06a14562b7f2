"""How far apart two images are: in plain pixels, or to a network that the user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from runtime.backends import RunOptions
from runtime.distribution.networks import ImageNetwork
from runtime.errors import InputError

PAIR = 2
"""Inputs of a network that gives a distance itself."""


class Distance(Protocol):
    """A distance of images that is quadratic where they are close, as path lengths ask for."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Images [N, C, H, W], twice -> float64 [N]."""
        ...


class PixelDistance:
    """Mean squared difference of the values, of images in [-1, 1]."""

    name = "plain pixels"

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """See `Distance`."""
        return ((a.astype(np.float64) - b) ** 2).mean(axis=(1, 2, 3))


class FeatureDistance:
    """Squared Euclidean distance of features."""

    def __init__(self, network: ImageNetwork) -> None:
        self._network = network
        self.name = f"features of {network.path.name}"

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """See `Distance`."""
        first, second = (self._network.run(images).reshape(len(images), -1).astype(np.float64) for images in (a, b))
        return ((first - second) ** 2).sum(axis=1)


class PairDistance:
    """What a network of two images says, as LPIPS models do."""

    def __init__(self, network: ImageNetwork) -> None:
        self._network = network
        self.name = f"distance of {network.path.name}"

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """See `Distance`. Raises InputError where the network gives more than one value a pair."""
        found = self._network.run(a, b)
        if found.size != len(a):
            raise InputError(
                f"{self._network.path}: gave {found.size // len(a)} values a pair of images, expected 1: their distance"
            )
        return found.reshape(len(a)).astype(np.float64)


def open_distance(path: Path | None, side: int, options: RunOptions) -> Distance:
    """The distance of a model of one or two images of `side` pixels; without one, of plain pixels. InputError."""
    if path is None:
        return PixelDistance()
    network = ImageNetwork(path, (1, PAIR), options)
    network.check_resolution(side)
    return PairDistance(network) if network.images == PAIR else FeatureDistance(network)
