"""What a bundle's graphs are fed to draw its golden images: latents, styles, noise, transforms, and companions.

Only what can't be made again is stored. Latents are those of their seeds (`runtime.latents`), noise that of its seed or
the bundle's own. Styles follow from `w`, its stored mean and psi by `runtime.truncation`, which gives the same bits
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from runtime.bundle import Bundle
from runtime.golden.samples import GoldenSamples
from runtime.latents import latents, one_hot
from runtime.manifest import NoiseMode
from runtime.noise import batched_noise, noise_arrays
from runtime.spec import TRANSFORM, latent_names, noise_name
from runtime.truncation import towards_mean

COMPANION = -1
"""In place of an image's number: a row of a batch that is like no other, and whose image nobody knows or compares."""
COMPANION_PSI = 1.5
"""Truncation of companions, which no golden image has."""
COMPANION_SEED = 1 << 16
"""Of the first companion's latent, beyond those of images and classes."""


@dataclass(frozen=True)
class GoldenInputs:
    """The inputs of every graph of `bundle`, for the images of `samples`.

    Where a batch has more room than there are images, companions fill it. So no two rows of a batch are alike, and one
    that takes anything of another shows.
    """

    bundle: Bundle
    samples: GoldenSamples

    @classmethod
    def of(cls, bundle: Bundle) -> GoldenInputs:
        """The stored ones. Raises BundleError where they don't fit the bundle."""
        return cls(bundle, GoldenSamples.read(bundle))

    @cached_property
    def z(self) -> np.ndarray:
        """The latents, float32 [L, z_dim]."""
        return latents(self.samples.seeds.tolist(), self.bundle.spec.z_dim)

    @cached_property
    def class_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """`z` [G, z_dim] and `c` [G, c_dim] of the classes, one a class."""
        spec, samples = self.bundle.spec, self.samples
        if not len(samples.classes):
            return np.zeros((0, spec.z_dim), np.float32), np.zeros((0, spec.c_dim), np.float32)
        z = latents(samples.class_seeds.tolist(), spec.z_dim)
        return z, one_hot(samples.classes, spec.c_dim)

    @property
    def synthesis_images(self) -> np.ndarray:
        """Numbers of the images that the synthesis graph draws."""
        return np.flatnonzero(~self.samples.pipeline_only)

    @property
    def pipeline_images(self) -> np.ndarray:
        """Numbers of the images that the pipeline graph draws: all whose latents it can be given."""
        if not self.bundle.manifest.options.identity_mask:
            return np.arange(len(self.samples.sources))
        return np.flatnonzero((self.samples.sources == self.samples.sources[:, :1]).all(axis=1))

    def mapping(self, z: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs of the mapping graph."""
        return {"z": z} | ({"c": c} if self.bundle.spec.c_dim else {})

    def styles(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, K, w_dim]: the truncated styles of the images."""
        sources, psi = self.samples.sources[images], self.samples.psi[images]
        own = self.bundle.manifest.options.identity_mask
        rows = psi if own else np.repeat(psi[:, :1], sources.shape[1], axis=1)  # before mixing there are no rows yet
        return towards_mean(self.samples.w[sources], self.bundle.w_avg, rows[..., None])

    def ws(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, num_ws, w_dim]: the rows that the pipeline graph makes for the images, before any are fixed."""
        mixed = self.bundle.mask.rows(self.samples.w[self.samples.sources[images]])
        return towards_mean(mixed, self.bundle.w_avg, self.samples.psi[images][..., None])

    def synthesis(self, slots: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs of the synthesis graph: an image in each slot, or a companion where it is COMPANION."""
        samples, count = self.samples, self.samples.sources.shape[1]
        images = np.where(slots == COMPANION, np.arange(len(slots)) % len(samples.sources), slots)
        styles, free = self.styles(images), np.flatnonzero(slots == COMPANION)
        others = samples.w[(free[:, None] - np.arange(count)) % len(samples.w)]
        styles[free] = towards_mean(others, self.bundle.w_avg, COMPANION_PSI)
        return {"styles": styles, **self.noise_and_transform(images)}

    def pipeline(self, image: int, batch: int = 1, place: int = 0) -> dict[str, np.ndarray]:
        """Inputs of the pipeline graph: one image at a place in the batch, companions around it.

        psi is the same for all images of a run, and golden images differ in theirs.
        """
        samples, spec = self.samples, self.bundle.spec
        names = latent_names(self.bundle.manifest.options.latents_per_image)
        sources, shift = samples.sources[image, : len(names)], np.arange(batch) - place
        fresh = COMPANION_SEED + np.arange(batch * len(names))
        z = latents(fresh.tolist(), spec.z_dim).reshape(batch, len(names), -1)
        z[place] = self.z[sources]
        inputs = {name: z[:, k] for k, name in enumerate(names)}
        if spec.c_dim:
            inputs["c"] = samples.c[(sources[0] + shift) % len(samples.c)]
        inputs["psi"] = samples.psi[image]
        return inputs | self.noise_and_transform((image + shift) % len(samples.sources))

    def noise_and_transform(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs beside the styles: noise [N, 1, H, W] a layer and transform [N, 3, 3], where there are."""
        bundle, samples = self.bundle, self.samples
        inputs = {TRANSFORM: samples.transform[images]} if bundle.spec.takes_transform else {}
        if bundle.manifest.options.noise is not NoiseMode.EXPLICIT:
            return inputs
        per_image = [noise_arrays(bundle.spec, samples.noise_of(int(image)), bundle.stored_noise) for image in images]
        return inputs | {noise_name(layer): array for layer, array in enumerate(batched_noise(per_image))}
