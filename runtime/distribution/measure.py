"""What is measured of one generator: moments, path lengths, separability."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.backends import RunOptions
from runtime.distribution.distances import PixelDistance, open_distance
from runtime.distribution.drawer import Drawer
from runtime.distribution.moments import GroupedMoments
from runtime.distribution.networks import AttributeNetwork
from runtime.distribution.paths import EPSILON, MAX_EPSILON, MIN_EPSILON, PathLengths, PathRule, path_lengths
from runtime.distribution.pixels import pixel_statistics
from runtime.distribution.sampling import Sampling
from runtime.distribution.separability import Separability, separability
from runtime.errors import InputError
from runtime.extras import require
from runtime.noise import Noise


@dataclass(frozen=True)
class Instruments:
    """What pictures are judged by: how paths are measured, and classifiers of attributes."""

    rule: PathRule = field(default_factory=lambda: PathRule(PixelDistance()))
    attributes: tuple[AttributeNetwork, ...] = ()

    @classmethod
    def open(
        cls,
        side: int,
        features: Path | None = None,
        attributes: tuple[Path, ...] = (),
        epsilon: float = EPSILON,
        options: RunOptions | None = None,
    ) -> Instruments:
        """Open the networks that a user brings, for images of `side` pixels.

        Raises InputError where one is no such network or doesn't take such images, MissingDependencyError where
        attributes were given and scikit-learn is not installed.
        """
        if not MIN_EPSILON <= epsilon <= MAX_EPSILON:
            raise InputError(f"a path's epsilon is {epsilon:g}, expected {MIN_EPSILON:g} to {MAX_EPSILON:g}")
        options = options or RunOptions()
        distance = open_distance(features, side, options)
        if attributes:
            require("sklearn.svm")
        classifiers = tuple(AttributeNetwork(path, options) for path in attributes)
        for classifier in classifiers:
            classifier.check_resolution(side)
        return cls(PathRule(distance, epsilon), classifiers)


@dataclass(frozen=True)
class Distribution:
    """Of one generator. Separabilities are None where no attributes were given."""

    samples: int
    w: GroupedMoments
    pixels: GroupedMoments
    channels: int
    path_z: PathLengths
    path_w: PathLengths
    separability_z: Separability | None
    separability_w: Separability | None


@dataclass(frozen=True)
class NotFinite:
    """Of a generator that gave NaN or infinity: nothing else of it would mean anything. `what` says of what."""

    what: str


class _NotFiniteError(Exception):
    """NaN or infinity in what a drawer gave."""


class _Checked:
    """A drawer whose every value is looked at."""

    def __init__(self, drawer: Drawer) -> None:
        self._drawer = drawer
        self.name = drawer.name

    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        return _finite("w", self._drawer.map(z, c))

    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        return _finite("an image", self._drawer.draw(styles, noise))


def measure(drawer: Drawer, sampling: Sampling, instruments: Instruments) -> Distribution | NotFinite:
    """Draw all samples and paths, and keep what is needed of them: memory is bounded but for attributes' latents."""
    checked = _Checked(drawer)
    w_moments, pixel_moments = GroupedMoments(), GroupedMoments()
    latents: list[tuple[np.ndarray, np.ndarray]] = []
    margins: list[list[np.ndarray]] = [[] for _ in instruments.attributes]
    channels = 0
    try:
        for group, inputs in sampling.images():
            w = checked.map(inputs.z, inputs.c)
            image = checked.draw(sampling.styles(w), inputs.noise)
            channels = image.shape[1]
            w_moments.add(group, w)
            pixel_moments.add(group, pixel_statistics(image))
            if instruments.attributes:
                latents.append((inputs.z, w))
            for values, network in zip(margins, instruments.attributes):
                values.append(_finite("an attribute", network.margins(image)))
        path_z, path_w = (path_lengths(checked, sampling, instruments.rule, in_z) for in_z in (True, False))
        _finite("a path length", np.concatenate([path_z.lengths, path_w.lengths]))
    except _NotFiniteError as error:
        return NotFinite(str(error))
    told = [np.concatenate(values) for values in margins]
    in_z, in_w = (separability(np.concatenate(rows), told) for rows in zip(*latents)) if told else (None, None)
    return Distribution(sampling.samples, w_moments, pixel_moments, channels, path_z, path_w, in_z, in_w)


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise _NotFiniteError(what)
    return values
