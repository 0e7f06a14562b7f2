"""`golden.npz`: what is stored, and the check that it makes sense."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields

import numpy as np

from runtime.bundle import GOLDEN, Bundle, Shape
from runtime.errors import BundleError
from runtime.golden.crops import blocks_of, tile_origins
from runtime.noise import MAX_SEED, Noise

MOST_TOLD = 4
"""Seeds of an image that are told: where every row has its own, the first few say which image it is."""
_NOISE = re.compile(r"^(const|none|\d{1,9})$")
_KINDS = {
    "seeds": "i",
    "classes": "i",
    "class_seeds": "i",
    "sources": "i",
    "pipeline_only": "b",
    "noise": "U",
}
"""NumPy's kind of the arrays that are not float32."""


@dataclass(frozen=True)
class GoldenSamples:
    """L latents with their `w`, G classes, T images made of the latents, and Q probes.

    Latents: `seeds` int64 [L], `c` float32 [L, c_dim] (c_dim may be 0), `w` float32 [L, w_dim].
    Classes: `classes` int64 [G], `class_seeds` int64 [G], `class_w` float32 [G, V], the first V values of `w`.
    Images: `sources` int64 [T, K], the latent of each style; `psi` float32 [T, num_ws], the truncation of each row;
    `noise` [T] ("const", "none" or a seed, as text); `transform` float32 [T, 3, 3]; `pipeline_only` bool [T], whether
    the synthesis graph is spared it; what the reference drew, `tiles` float32 [T, P, C, h, w] and `blocks` float32
    [T, C, B, B]. Probes: `probes` float32 [Q, V'], values from inside the network for the first Q images; Q may be 0.
    """

    seeds: np.ndarray
    c: np.ndarray
    w: np.ndarray
    classes: np.ndarray
    class_seeds: np.ndarray
    class_w: np.ndarray
    sources: np.ndarray
    psi: np.ndarray
    noise: np.ndarray
    transform: np.ndarray
    pipeline_only: np.ndarray
    tiles: np.ndarray
    blocks: np.ndarray
    probes: np.ndarray

    @property
    def tile(self) -> int:
        """Side of a tile in pixels."""
        return int(self.tiles.shape[-1])

    def noise_of(self, image: int) -> Noise:
        """The noise argument of an image."""
        text = str(self.noise[image])
        return text if text in ("const", "none") else int(text)

    def head(self, images: int) -> GoldenSamples:
        """Only the first `images` images, and the latents that they are made of; classes and probes as they are."""
        rows = int(self.sources[:images].max()) + 1
        cut = {"seeds": rows, "c": rows, "w": rows}
        cut |= dict.fromkeys(("sources", "psi", "noise", "transform", "pipeline_only", "tiles", "blocks"), images)
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return GoldenSamples(**{name: array[: cut.get(name)] for name, array in arrays.items()})

    def describe(self, image: int) -> str:
        """What an image was drawn from, in words."""
        seeds = list(dict.fromkeys(str(self.seeds[latent]) for latent in self.sources[image]))
        more = ["..."] * (len(seeds) > MOST_TOLD)
        told = [f"seed{'s' * (len(seeds) > 1)} {', '.join([*seeds[:MOST_TOLD], *more])}"]
        psi = self.psi[image]
        moved = int(np.argmax(psi != psi[0])) or len(psi)
        if (psi[moved:] == 1).all():
            told.append(f"psi {psi[0]:g}" + (f" with cutoff {moved}" if moved < len(psi) else ""))
        else:
            told.append(f"psi from {psi[0]:g} to {psi[-1]:g}, another in every row")
        noise = self.noise_of(image)
        told.append(f"noise {noise}" if isinstance(noise, str) else f"noise of seed {noise}")
        c = self.c[self.sources[image, 0]]
        if len(c):
            told.append(f"class {int(c.argmax())}" if np.count_nonzero(c) == 1 else "a blend of classes")
        if not np.array_equal(self.transform[image], np.eye(3)):
            told.append("turned or moved")
        return ", ".join(told)

    def to_bytes(self) -> bytes:
        """As an `.npz` file; the same arrays give the same bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @classmethod
    def read(cls, bundle: Bundle) -> GoldenSamples:
        """The samples of a bundle. Raises BundleError where they don't fit its specification."""
        spec, blocks = bundle.spec, blocks_of(bundle.spec.resolution)
        shapes: dict[str, Shape] = {
            "seeds": (None,),
            "c": (None, spec.c_dim),
            "w": (None, spec.w_dim),
            "classes": (None,),
            "class_seeds": (None,),
            "class_w": (None, None),
            "sources": (None, len(bundle.manifest.options.sources)),
            "psi": (None, spec.num_ws),
            "noise": (None,),
            "transform": (None, 3, 3),
            "pipeline_only": (None,),
            "tiles": (None, None, spec.img_channels, None, None),
            "blocks": (None, spec.img_channels, blocks, blocks),
            "probes": (None, None),
        }
        samples = cls(**bundle.read_arrays(GOLDEN, shapes))
        wrong = samples._nonsense(spec.resolution, spec.c_dim, spec.w_dim)
        if wrong is not None:
            raise BundleError(f"{bundle.path / GOLDEN}: {wrong}; export the bundle again")
        return samples

    def _nonsense(self, resolution: int, c_dim: int, w_dim: int) -> str | None:
        """What makes no sense, or None."""
        for field in fields(self):
            array, kind = getattr(self, field.name), _KINDS.get(field.name)
            if array.dtype.kind != kind if kind else array.dtype != np.float32:
                return f"{field.name} is {array.dtype}, expected {kind or 'float32'}"
        latents, classes, images = len(self.seeds), len(self.classes), len(self.sources)
        per_image = (self.psi, self.noise, self.transform, self.pipeline_only, self.tiles, self.blocks)
        if not (latents and images and len(self.c) == len(self.w) == latents):
            return "its arrays differ in length or are empty"
        if any(len(array) != images for array in per_image) or len(self.probes) > images:
            return "its arrays differ in length"
        if not len(self.class_seeds) == len(self.class_w) == classes or self.class_w.shape[1] > w_dim:
            return "its arrays differ in length"
        if _beyond(self.sources, latents) or _beyond(self.classes, c_dim):
            return "its images are made of latents, or its classes are, that there are not"
        if _beyond(self.seeds, MAX_SEED + 1) or _beyond(self.class_seeds, MAX_SEED + 1):
            return "its latents have seeds out of range"
        if not all(_NOISE.match(str(text)) for text in self.noise):
            return "its noise is not const, none or a seed"
        pieces, height, width = self.tiles.shape[1], *self.tiles.shape[-2:]
        if not 0 < height == width <= resolution or pieces != len(tile_origins(resolution, height)):
            return f"its tiles have {height} x {width} pixels, {pieces} an image, which are none of {resolution} px"
        return None


def _beyond(numbers: np.ndarray, count: int) -> bool:
    return bool(numbers.size and (numbers.min() < 0 or numbers.max() >= count))
