"""Generators in a few lines of NumPy, sound and broken, whose distributions are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runtime.distribution import Sampling
from runtime.noise import Noise

SIDE = 4
WIDTH = SIDE * SIDE
Change = Callable[[np.ndarray], np.ndarray]
SAMPLING = Sampling(samples=2000, seed=0, z_dim=WIDTH, c_dim=0, rows=2, chunk=100, fresh=((SIDE, SIDE),))


def unchanged(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class Linear:
    """`w` is `z`, moved by its class; the grey picture is the last row of styles, a value a pixel, and some noise."""

    name: str = "linear"
    w_change: Change = unchanged
    label_change: Change = unchanged
    image_change: Change = unchanged
    noise_strength: float = 0.1

    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        w = z if c is None else z + np.argmax(self.label_change(c), axis=1)[:, None]
        return self.w_change(w).astype(np.float32)

    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        image = styles[:, -1].reshape(-1, 1, SIDE, SIDE)
        if not isinstance(noise, str):
            image = image + self.noise_strength * noise[0]
        return self.image_change(image).astype(np.float32)


def sampling_of(**options: Any) -> Sampling:
    """SAMPLING with other numbers."""
    return replace(SAMPLING, **options)
