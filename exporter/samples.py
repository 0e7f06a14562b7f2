"""Planned samples as the graphs take them, and what the reference draws of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from exporter.baking import fixed_rows, with_fixed
from exporter.networks import ReferenceNetwork
from runtime.bundle import Bundle
from runtime.latents import latents, one_hot
from runtime.manifest import NoiseMode
from runtime.noise import batched_noise, noise_arrays
from runtime.parity.samples import Sample
from runtime.spec import TRANSFORM, noise_name
from runtime.transforms import make_transform
from runtime.truncation import towards_mean


@dataclass(frozen=True)
class Chunk:
    """A few samples, their inputs, and what the reference made of them. S images of V latents, K sources."""

    samples: tuple[Sample, ...]
    first: tuple[int, ...]  # of each image: the row of its first latent
    z: np.ndarray  # [V, z_dim]
    c: np.ndarray  # [V, c_dim]
    w: np.ndarray  # [V, w_dim]
    styles: np.ndarray  # [S, K, w_dim]
    images: np.ndarray  # [S, C, H, W]


class ReferenceSamples:
    """Draws planned samples with the reference network, a few at a time, so that memory stays bounded."""

    def __init__(self, network: ReferenceNetwork, bundle: Bundle, plan: Sequence[Sample], size: int) -> None:
        """`size` samples make a chunk."""
        self._network, self._bundle, self._plan, self._size = network, bundle, plan, size
        self._fixed = fixed_rows(network, bundle.manifest.options.baked)

    @property
    def chunk_bytes(self) -> int:
        """Memory that the images of a whole chunk take: nearly all of its."""
        spec = self._bundle.spec
        return self._size * spec.img_channels * spec.resolution**2 * np.dtype(np.float32).itemsize

    def chunks(self, begin: int = 0) -> Iterator[Chunk]:
        """The chunks from number `begin` on."""
        for start in range(begin * self._size, len(self._plan), self._size):
            yield self._chunk(tuple(self._plan[start : start + self._size]))

    @torch.no_grad()
    def _chunk(self, samples: tuple[Sample, ...]) -> Chunk:
        spec, network = self._bundle.spec, self._network
        counts = [len(sample.latent_seeds) for sample in samples]
        z = latents([seed for sample in samples for seed in sample.latent_seeds], spec.z_dim)
        c = np.zeros((len(z), 0), np.float32)
        if spec.c_dim:
            c = np.repeat(one_hot([sample.label or 0 for sample in samples], spec.c_dim), counts, axis=0)
        w = network.mapping(torch.from_numpy(z), torch.from_numpy(c) if spec.c_dim else None).numpy()
        first = np.cumsum([0, *counts[:-1]])
        pairs = [self._styles(sample, rows) for sample, rows in zip(samples, np.split(w, first[1:]))]
        images = [self._draw(sample, with_fixed(ws, self._fixed)) for sample, (_, ws) in zip(samples, pairs)]
        styles = np.stack([styles for styles, _ in pairs])
        return Chunk(samples, tuple(int(row) for row in first), z, c, w, styles, np.concatenate(images))

    def _styles(self, sample: Sample, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The graph's input `styles` [K, w_dim] for a sample's `w` [V, w_dim], and the `ws` [num_ws, w_dim] meant."""
        mean, num_ws = self._network.mapping.w_avg.numpy(), self._bundle.spec.num_ws
        moved = towards_mean(w, mean, sample.psi)
        if not self._bundle.manifest.options.identity_mask:
            return moved, self._bundle.mask.rows(moved)
        truncated = num_ws if sample.cutoff is None else sample.cutoff
        ws = np.repeat(w[:, None], num_ws, axis=1)  # [1 or 2, num_ws, w_dim]
        ws[:, :truncated] = moved[:, None]
        if sample.cut is not None:
            ws[0, sample.cut :] = ws[1, sample.cut :]
        return ws[0], ws[0]

    def _draw(self, sample: Sample, ws: np.ndarray) -> np.ndarray:
        """One image [1, C, H, W]."""
        maps = [torch.from_numpy(array) for array in noise_arrays_of(self._bundle, sample)]
        spec = self._bundle.spec
        motion = torch.from_numpy(transform_of(self._bundle, sample)) if spec.takes_transform else None
        image: np.ndarray = self._network.synthesis(torch.from_numpy(ws[None]), maps, motion).numpy()
        return image


def other_inputs(bundle: Bundle, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Inputs beside the styles of images of these samples: noise [N, 1, H, W] and transform [N, 3, 3], where taken."""
    inputs = {}
    if bundle.spec.takes_transform:
        inputs[TRANSFORM] = np.stack([transform_of(bundle, sample) for sample in samples])
    if bundle.manifest.options.noise is not NoiseMode.EXPLICIT:
        return inputs
    maps = batched_noise([noise_arrays_of(bundle, sample) for sample in samples])
    return inputs | {noise_name(layer): array for layer, array in enumerate(maps)}


def noise_arrays_of(bundle: Bundle, sample: Sample) -> list[np.ndarray]:
    """A sample's noise [1, 1, H, W] a layer, writable."""
    return [np.array(array) for array in noise_arrays(bundle.spec, sample.noise, bundle.stored_noise)]


def transform_of(bundle: Bundle, sample: Sample) -> np.ndarray:
    """A sample's transform [3, 3], the checkpoint's own where it has no other."""
    if sample.transform is None:
        assert bundle.stored_transform is not None
        return np.array(bundle.stored_transform)
    degrees, x, y = sample.transform
    return make_transform(degrees, (x, y))
