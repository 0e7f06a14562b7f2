"""Golden samples, drawn by the reference: the images that a bundle is judged by, at export and ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from exporter.baking import with_fixed
from exporter.networks import ReferenceNetwork
from runtime.cost import count_cost
from runtime.generator import default_batch
from runtime.golden import GoldenSamples, block_means, cut_tiles
from runtime.latents import latents, one_hot
from runtime.manifest import NoiseMode
from runtime.mixing import Mask
from runtime.noise import Noise, noise_arrays
from runtime.parity import ENOUGH_VALUES
from runtime.spec import GeneratorSpec
from runtime.transforms import make_transform

STORED_PIXELS = 1 << 20
"""Pixels of golden images a bundle is given: eight images up to 256 px, one at 1024 px."""
MAX_IMAGES = 128
"""Images that export compares at most, however small they are."""
MAX_WORK = 540e9
"""Multiply-adds of the images that export draws at most, beyond the first: some 20 s of two CPU cores."""
FIR_WEIGHT = 5
"""How much more time than a convolution's a FIR filter's multiply-add takes on a CPU: it waits for memory."""
NOISE_SEED = 7


@dataclass(frozen=True)
class Case:
    """One golden image: truncation, noise, whether a second latent takes over the later rows, and its motion.

    A motion is a turn in degrees and a move (x, y) in image widths; None leaves the checkpoint's own transform.
    """

    psi: float
    noise: Noise
    mixed: bool = False
    motion: tuple[float, tuple[float, float]] | None = None


CASES = (
    Case(0.7, NOISE_SEED, motion=(20.0, (0.1, -0.05))),
    Case(1.0, "const"),
    Case(-0.7, "const", motion=(-135.0, (0.0, 0.0))),
    Case(1.0, NOISE_SEED, mixed=True),
    Case(0.0, "const"),
    Case(0.7, "none"),
    Case(1.0, "const", mixed=True, motion=(0.0, (-0.3, 0.6))),
    Case(0.5, NOISE_SEED + 1),
)
"""Most telling first, for sizes at which not all fit the budget."""


@dataclass(frozen=True)
class Reference:
    """What the reference drew: samples, whole images to compare the graphs with now, and how many of them to store."""

    samples: GoldenSamples
    images: np.ndarray
    stored: int


def choose_cases(spec: GeneratorSpec, noise: NoiseMode) -> tuple[list[Case], int]:
    """The images to compare, with only the noise that the graph can take, and how many of the first to store."""
    values, affordable = spec.img_channels * spec.resolution**2, affordable_images(spec, MAX_WORK, MAX_IMAGES)
    stored = min(len(CASES), max(1, STORED_PIXELS // spec.resolution**2), affordable)
    compared = max(stored, min(-(-ENOUGH_VALUES // values), affordable))
    cases = [CASES[index % len(CASES)] for index in range(compared)]
    baked: Noise = {NoiseMode.CONST: "const", NoiseMode.NONE: "none"}.get(noise)
    return [case if baked is None else replace(case, noise=baked) for case in cases], stored


def affordable_images(spec: GeneratorSpec, work: float, most: int) -> int:
    """How many images, 1 to `most`, make no more than `work` multiply-adds."""
    cost = count_cost(spec)
    return max(1, min(most, int(work // (cost.convolutions + FIR_WEIGHT * cost.fir))))


def draw_reference(
    network: ReferenceNetwork, spec: GeneratorSpec, mask: Mask, noise: NoiseMode, fixed: Mapping[int, np.ndarray]
) -> Reference:
    """Run the reference over the golden cases, `fixed` rows in their places: float32, on the CPU, seeds 0, 1, 2, ..."""
    cases, stored = choose_cases(spec, noise)
    per_image = 2 if mask.is_identity else mask.matrix.shape[1]
    z = latents(range(len(cases) * per_image), spec.z_dim)
    c = _labels(spec, np.arange(len(z)) // per_image)
    with torch.no_grad():
        w = network.mapping(torch.from_numpy(z), torch.from_numpy(c) if spec.c_dim else None).numpy()
    mean = network.mapping.w_avg.numpy()
    pairs = [_styles(spec, mask, case, rows, mean) for case, rows in zip(cases, np.split(w, len(cases)))]
    transform = _transforms(network, cases)
    images = _draw(network, [with_fixed(ws, fixed) for _, ws in pairs], [case.noise for case in cases], transform)
    samples = GoldenSamples(
        z=z,
        c=c,
        w=w,
        styles=np.stack([styles for styles, _ in pairs]),
        noise=np.array([str(case.noise) for case in cases]),
        psi=np.array([case.psi for case in cases], np.float32),
        first=np.arange(len(cases)) * per_image,
        mixed=np.array([case.mixed and mask.is_identity for case in cases]),
        transform=transform,
        tiles=cut_tiles(images),
        blocks=block_means(images),
    )
    return Reference(samples, images, stored)


def _labels(spec: GeneratorSpec, case: np.ndarray) -> np.ndarray:
    """One-hot labels [M, c_dim], one class a case, so that all sources of an image share theirs."""
    if not spec.c_dim:
        return np.zeros((len(case), 0), np.float32)
    return one_hot(case % spec.c_dim, spec.c_dim)


@torch.no_grad()
def _draw(
    network: ReferenceNetwork, ws: Sequence[np.ndarray], noise: Sequence[Noise], transform: np.ndarray
) -> np.ndarray:
    """Images [T, C, H, W] of `ws` [num_ws, w_dim] each, a few at a time, every one with its own noise and motion."""
    spec: GeneratorSpec = network.spec
    stored = [buffer.numpy() for buffer in network.synthesis.stored_noise()]
    size, images = default_batch(spec), []
    for start in range(0, len(ws), size):
        part = slice(start, start + size)
        arrays = [np.concatenate(maps) for maps in zip(*(noise_arrays(spec, item, stored) for item in noise[part]))]
        styles = torch.from_numpy(np.stack(ws[part]))
        motion = torch.from_numpy(transform[part]) if spec.takes_transform else None
        images.append(network.synthesis(styles, [torch.from_numpy(array) for array in arrays], motion).numpy())
    return np.concatenate(images)


def _transforms(network: ReferenceNetwork, cases: Sequence[Case]) -> np.ndarray:
    """The transform of each case [T, 3, 3]; the identity where the generator takes none."""
    stored = network.synthesis.stored_transform()
    own = np.eye(3, dtype=np.float32) if stored is None else stored.numpy()
    return np.stack([own if stored is None or case.motion is None else make_transform(*case.motion) for case in cases])


def _styles(
    spec: GeneratorSpec, mask: Mask, case: Case, w: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The graph's input `styles` [K, w_dim] of a case, and the `ws` [num_ws, w_dim] that it stands for."""
    moved = (mean + np.float32(case.psi) * (w - mean)).astype(np.float32)
    if not mask.is_identity:
        return moved, (mask.matrix @ moved.astype(np.float64)).astype(np.float32)
    ws = np.repeat(moved[:1], spec.num_ws, axis=0)
    if case.mixed:
        ws[spec.num_ws // 2 :] = moved[1]
    return ws, ws
