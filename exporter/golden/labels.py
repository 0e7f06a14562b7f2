"""Labels of golden images and classes."""

from __future__ import annotations

import numpy as np

from runtime.latents import one_hot

MAX_CLASSES = 1024
"""Classes whose `w` is stored. Of more, evenly spread ones; the blend of all has the others."""
OTHERS = 0.25
"""Length of what a blend has of all classes, beside 1 of its own: enough to be seen, and near enough to the labels that
networks know, and that int8 graphs are calibrated with, for an image as others are."""
GOLDEN_RATIO = (5**0.5 - 1) / 2


def chosen_classes(c_dim: int) -> np.ndarray:
    """int64 [G]: all classes, or MAX_CLASSES of them from the first to the last."""
    return np.unique(np.linspace(0, c_dim - 1, min(c_dim, MAX_CLASSES)).round().astype(np.int64))


def class_label(number: int, c_dim: int) -> np.ndarray:
    """One-hot float32 [c_dim] of a class, counted around."""
    return one_hot([number % c_dim], c_dim)[0] if c_dim else np.zeros(0, np.float32)


def blended_label(number: int, c_dim: int) -> np.ndarray:
    """float32 [c_dim]: a class with a little of all others, each of a weight of its own, far from its neighbours'.

    Embedding is linear in the label, so that this one sees every class's row: no two can change places unseen. The
    weights are multiples of the golden ratio, without their whole part: no two are equal, and next ones far apart.
    """
    if not c_dim:
        return class_label(number, c_dim)
    weights = 2 * (np.arange(1, c_dim + 1) * GOLDEN_RATIO % 1) - 1
    return (class_label(number, c_dim) + OTHERS * weights / np.sqrt((weights**2).sum())).astype(np.float32)
