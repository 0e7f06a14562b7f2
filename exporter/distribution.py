"""The PyTorch reference as one of the generators whose distributions are compared."""

from __future__ import annotations

import numpy as np
import torch

from exporter.baking import fixed_rows, with_fixed
from exporter.checkpoints import Checkpoint
from exporter.verify import matching
from runtime.bundle import Bundle
from runtime.generator import default_batch
from runtime.noise import Noise, noise_arrays


class ReferenceDrawer:
    """A checkpoint's network in PyTorch, given what a bundle's graphs are given: a `runtime.distribution.Drawer`."""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint) -> None:
        """Raises InputError where the bundle was not made of a checkpoint such as this."""
        self._bundle = bundle
        self._network = matching(bundle, checkpoint).completed().build()
        self._fixed = fixed_rows(self._network, bundle.manifest.options.baked)
        self.name = f"PyTorch, {checkpoint.name}"

    @torch.no_grad()
    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        """`z` [N, z_dim], labels `c` [N, c_dim] -> `w` [N, w_dim]."""
        w: np.ndarray = self._network.mapping(torch.from_numpy(z), None if c is None else torch.from_numpy(c)).numpy()
        return w

    @torch.no_grad()
    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        """Styles [N, K, w_dim], mixed and with the baked rows as the graph has them -> image [N, C, H, W]."""
        ws = with_fixed(self._bundle.mask.rows(styles), self._fixed)
        # Const noise is the bundle's: export may have drawn it.
        maps = noise_arrays(self._bundle.spec, noise, self._bundle.stored_noise)
        images, size = [], default_batch(self._bundle.spec)
        for start in range(0, len(ws), size):
            part = slice(start, start + size)
            own = [torch.tensor(item if len(item) == 1 else item[part]) for item in maps]  # stored noise is read-only
            images.append(self._network.synthesis(torch.from_numpy(ws[part]), own).numpy())
        return np.concatenate(images)
