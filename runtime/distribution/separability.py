"""Linear separability: whether a plane in a latent space tells an attribute (arXiv 1812.04948, section 4.2)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.extras import require

KEPT_SHARE = 0.5
"""Share of the images whose attribute is told with most confidence; the paper keeps 100,000 of 200,000."""
MAX_ITERATIONS = 10_000
"""Of the plane's fit. One that stops there is a plane too, and both generators' are fitted alike."""
FREE_POINTS = 2
"""Up to this many points a dimension, a plane tells apart most labellings whatsoever (Cover, 1965)."""


@dataclass(frozen=True)
class Separability:
    """exp(sum of H(Y_i|X_i)) in nats: 1 where planes tell every attribute, 2^n where they tell none of n even ones.

    `error` is its standard error by the images' chance, not by the fit's. `note` says what makes it meaningless.
    """

    score: float
    error: float
    note: str = ""


def separability(latents: np.ndarray, margins: Sequence[np.ndarray]) -> Separability:
    """Of latents [N, D], float32, and of each attribute the classifier's margin [N], by whose sign it is told.

    Raises MissingDependencyError where scikit-learn is not installed.
    """
    count = len(latents)
    entropy, variation, least = 0.0, np.zeros(count), 0.0
    constant = 0
    for margin in margins:
        kept = np.argsort(-np.abs(margin), kind="stable")[: int(count * KEPT_SHARE)]
        labels = margin[kept] > 0
        constant += bool(labels.all() or not labels.any())
        surprise = _surprise(labels, _predicted(latents[kept], labels))
        entropy += float(surprise.mean())
        variation[kept] += (surprise - surprise.mean()) / KEPT_SHARE
        least += (1 + math.log(len(kept))) / len(kept)
    score = math.exp(entropy)
    # By the delta method; all attributes are of the same images, so what an image adds to each is added up first.
    error = max(float(variation.std()) / math.sqrt(count), least)
    return Separability(score, score * error, _note(latents, constant, len(margins)))


def conditional_entropy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """H(Y|X) in nats, of booleans [n]: what a prediction X leaves unknown of a label Y, 0 to ln 2."""
    return float(_surprise(labels, predicted).mean())


def _surprise(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """-ln p(y|x) of each sample [n], by the shares counted among them all."""
    result = np.zeros(len(labels))
    for x in (False, True):
        for y in (False, True):
            cell = (predicted == x) & (labels == y)
            if cell.any():
                result[cell] = -math.log(cell.sum() / (predicted == x).sum())
    return result


def _predicted(latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """On which side of a linear support vector machine's plane each latent lies, [n]."""
    if labels.all() or not labels.any():
        return labels
    svm = require("sklearn.svm")
    values = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    spread = float(values.std())
    if spread > 0:  # one factor for all: directions keep their weights, and the fit's penalty its meaning
        values /= spread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return svm.LinearSVC(dual=False, max_iter=MAX_ITERATIONS).fit(values, labels).predict(values)


def _note(latents: np.ndarray, constant: int, attributes: int) -> str:
    kept, needed = int(len(latents) * KEPT_SHARE), FREE_POINTS * (latents.shape[1] + 1)
    if kept <= needed:
        return f"a plane parts most {kept} points in {latents.shape[1]} dimensions: draw over {needed / KEPT_SHARE:.0f}"
    if constant == attributes:
        return "all images that were kept have the same attributes, so there is nothing to tell"
    return ""
