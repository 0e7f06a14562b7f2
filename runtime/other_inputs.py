"""What synthesis takes beside styles: noise and, of a StyleGAN3, the transform."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.backends.base import frozen
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.manifest import NoiseMode
from runtime.noise import Noise, noise_arrays
from runtime.spec import TRANSFORM, noise_name
from runtime.transforms import check_transform


class OtherInputs:
    """The inputs of a bundle's synthesis graph but its styles."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._mode = bundle.manifest.options.noise
        self._kept: tuple[str | int, list[np.ndarray]] | None = None

    @property
    def own_noise(self) -> Noise:
        """Noise that this bundle takes whatever it was exported with: the checkpoint's own, or "none"."""
        return "none" if self._mode is NoiseMode.NONE else "const"

    def check_noise(self, noise: Noise) -> None:
        """Raise InputError where the graph holds noise of its own, and another is asked for."""
        mode = self._mode
        own = isinstance(noise, str) and noise in ("const", mode.value)
        if mode is not NoiseMode.EXPLICIT and not own:
            raise InputError(f"this bundle was exported with --noise {mode.value}: only noise {mode.value!r} is there")

    def of(self, noise: Noise, transform: Any, count: int) -> dict[str, np.ndarray]:
        """By input name, arrays for `count` images or for all: see `Generator.synthesize`. Raises InputError."""
        return self._noise(noise, count) | self._transform(transform, count)

    def _noise(self, noise: Noise, count: int) -> dict[str, np.ndarray]:
        self.check_noise(noise)
        if self._mode is not NoiseMode.EXPLICIT:
            return {}
        arrays = self._arrays(noise)
        for index, array in enumerate(arrays):
            if len(array) not in (1, count):
                raise InputError(f"noise array {index} is for {len(array)} images, expected 1 or {count}")
        return {noise_name(index): array for index, array in enumerate(arrays)}

    def _arrays(self, noise: Noise) -> list[np.ndarray]:
        """Noise as arrays. What a word or a seed stands for is kept, and can't be written into.

        A backend that has the very same arrays on a GPU need not take them there again.
        """
        spec, stored = self._bundle.spec, self._bundle.stored_noise
        if not isinstance(noise, (str, int)) or isinstance(noise, bool):
            return noise_arrays(spec, noise, stored)
        kept = self._kept  # another thread may put its own there meanwhile
        if kept is None or kept[0] != noise:
            arrays = [frozen(array) for array in noise_arrays(spec, noise, stored)]
            self._kept = (noise, arrays)
            return arrays
        return kept[1]

    def _transform(self, transform: Any, count: int) -> dict[str, np.ndarray]:
        stored = self._bundle.stored_transform
        if stored is None:
            if transform is not None:
                generation = self._bundle.spec.generation.value
                raise InputError(f"a transform was given, but {generation} takes none: leave it out")
            return {}
        return {TRANSFORM: check_transform(stored if transform is None else transform, count)}
