"""Compare a bundle with the checkpoint it came from, over fresh random inputs, in PyTorch and on a backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from exporter.baking import fixed_rows, with_fixed
from exporter.checkpoints import Checkpoint
from exporter.networks import ReferenceNetwork
from runtime.backends import GraphRunner
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import default_batch
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.latents import latents, one_hot
from runtime.manifest import NoiseMode
from runtime.noise import check_seed, seeded_noise
from runtime.parity import FP32, Comparison, Figures
from runtime.spec import TRANSFORM, latent_names, noise_name
from runtime.transforms import make_transform
from runtime.verify import check_batches, in_batches

MAX_SAMPLES = 65_536
SEED_STRIDE = 1_000_003
"""Samples of different verification seeds have different latent seeds: seed * stride + index."""
PSI_RANGE = (-1.0, 1.5)
"""Truncations that samples are drawn from: the whole range that artists use."""


@dataclass(frozen=True)
class Chunk:
    """Random inputs of a few images, and what the reference made of them. S images, K sources, L noisy layers."""

    z: np.ndarray  # [S * K, z_dim]
    c: np.ndarray  # [S * K, c_dim]
    w: np.ndarray  # [S * K, w_dim]
    psi: float
    styles: np.ndarray  # [S, K, w_dim]
    noise: list[np.ndarray]  # L of [S, 1, H, W]
    transform: np.ndarray  # [S, 3, 3]
    images: np.ndarray  # [S, C, H, W]


def verify_reference(
    bundle: Bundle, checkpoint: Checkpoint, graphs: OpenGraphs, batches: Sequence[int], samples: int, seed: int
) -> list[Figures]:
    """Figures of every graph at every batch size, over `samples` images drawn from `seed`.

    Raises InputError where the checkpoint is not the one that the bundle was made of.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise InputError(f"samples is {samples}, expected 1 to {MAX_SAMPLES}")
    check_seed(seed)
    check_batches(batches)
    reference = matching(bundle, checkpoint)
    network = reference.completed().build()
    names = ["mapping"] * (graphs.precision == FP32) + ["synthesis"]
    names += ["tail"] * (graphs.split is not None) + ["pipeline"] * (graphs.pipeline is not None)
    rounding = bundle.spec.synthesis.float32_rounding
    comparisons = {
        (name, batch): Comparison(name, "reference", batch, graphs.precision, rounding)
        for batch in batches
        for name in names
    }
    for chunk in _chunks(network, bundle, samples, seed):
        for batch in batches:
            if ("mapping", batch) in comparisons:
                _run_mapping(chunk, graphs, comparisons["mapping", batch], batch)
            _run_synthesis(chunk, bundle, graphs.synthesis, comparisons["synthesis", batch], batch)
            if graphs.split is not None:
                _run_synthesis(chunk, bundle, graphs.split, comparisons["tail", batch], batch)
            if graphs.pipeline is not None:
                _run_pipeline(chunk, bundle, graphs, comparisons["pipeline", batch], batch)
    return [comparison.figures() for comparison in comparisons.values()]


def matching(bundle: Bundle, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint in the variant that was exported. Raises InputError where it is not the bundle's."""
    try:
        return checkpoint.variant(bundle.spec)
    except InputError as error:
        raise InputError(
            f"{checkpoint.name} is not this bundle's checkpoint: {error} "
            f"(expected {bundle.manifest.provenance.checkpoint}, "
            f"sha256 {bundle.manifest.provenance.checkpoint_sha256[:12]}...)"
        ) from None


def _chunks(network: ReferenceNetwork, bundle: Bundle, samples: int, seed: int) -> Iterator[Chunk]:
    """The samples, a few at a time, so that memory stays bounded."""
    spec, options = bundle.spec, bundle.manifest.options
    sources = options.latents_per_image
    random = np.random.RandomState(seed)
    size, fixed = max(8, default_batch(spec)), fixed_rows(network, options.baked)
    for start in range(0, samples, size):
        count = min(size, samples - start)
        first = (seed * SEED_STRIDE + start * sources) % 2**31
        z = latents(range(first, first + count * sources), spec.z_dim)
        c = np.zeros((len(z), 0), np.float32)
        if spec.c_dim:
            c = np.repeat(one_hot(random.randint(spec.c_dim, size=count), spec.c_dim), sources, axis=0)
        psi = float(np.float32(random.uniform(*PSI_RANGE)))
        noise = _noise(bundle, first, count)
        transform = np.stack([_random_transform(random) for _ in range(count)])
        with torch.no_grad():
            w = network.mapping(torch.from_numpy(z), torch.from_numpy(c) if spec.c_dim else None).numpy()
            mean = network.mapping.w_avg.numpy()
            moved = (mean + np.float32(psi) * (w - mean)).reshape(count, sources, spec.w_dim)
            ws = np.repeat(moved, spec.num_ws, axis=1) if options.identity_mask else _mixed(bundle, moved)
            styles = ws if options.identity_mask else moved
            drawn = with_fixed(ws, fixed)
            images = [_draw(network, drawn[one], [item[one] for item in noise], transform[one]) for one in _each(count)]
        yield Chunk(z, c, w, psi, styles, noise, transform, np.concatenate(images))


def _each(count: int) -> list[slice]:
    return [slice(index, index + 1) for index in range(count)]


def _draw(network: ReferenceNetwork, ws: np.ndarray, noise: Sequence[np.ndarray], transform: np.ndarray) -> np.ndarray:
    """One image [1, C, H, W]."""
    maps = [torch.from_numpy(item) for item in noise]
    motion = torch.from_numpy(transform) if network.spec.takes_transform else None
    image: np.ndarray = network.synthesis(torch.from_numpy(ws), maps, motion).numpy()
    return image


def _random_transform(random: np.random.RandomState) -> np.ndarray:
    """Any turn, and a move by up to half an image width."""
    return make_transform(random.uniform(-180, 180), (random.uniform(-0.5, 0.5), random.uniform(-0.5, 0.5)))


def _mixed(bundle: Bundle, styles: np.ndarray) -> np.ndarray:
    return np.einsum("lk,nkw->nlw", bundle.mask.matrix, styles.astype(np.float64)).astype(np.float32)


def _noise(bundle: Bundle, first: int, count: int) -> list[np.ndarray]:
    """One noise array [count, 1, H, W] a layer: fresh for each image, or what the graph holds."""
    mode = bundle.manifest.options.noise
    if mode is NoiseMode.EXPLICIT:
        per_image = [seeded_noise(bundle.spec, first + index) for index in range(count)]
        return [np.concatenate(maps) for maps in zip(*per_image)]
    stored = bundle.stored_noise if mode is NoiseMode.CONST else [np.zeros_like(item) for item in bundle.stored_noise]
    return [np.repeat(item[None, None], count, axis=0) for item in stored]


def _run_mapping(chunk: Chunk, graphs: OpenGraphs, comparison: Comparison, batch: int) -> None:
    for rows, distinct in in_batches(len(chunk.z), batch):
        inputs = {"z": chunk.z[rows]} | ({"c": chunk.c[rows]} if chunk.c.shape[1] else {})
        comparison.add(chunk.w[rows], graphs.mapping.run(inputs, ["w"])[0], distinct)


def _run_synthesis(
    chunk: Chunk, bundle: Bundle, graph: GraphRunner | SplitGraphs, comparison: Comparison, batch: int
) -> None:
    for rows, distinct in in_batches(len(chunk.images), batch):
        inputs = {"styles": chunk.styles[rows], **_other_inputs(chunk, bundle, rows)}
        comparison.add_images(chunk.images[rows], graph.run(inputs, ["image", "pixels"]), distinct)


def _run_pipeline(chunk: Chunk, bundle: Bundle, graphs: OpenGraphs, comparison: Comparison, batch: int) -> None:
    assert graphs.pipeline is not None
    sources = len(chunk.z) // len(chunk.images)
    for rows, distinct in in_batches(len(chunk.images), batch):
        inputs = {name: chunk.z[rows * sources + index] for index, name in enumerate(latent_names(sources))}
        if chunk.c.shape[1]:
            inputs["c"] = chunk.c[rows * sources]
        inputs["psi"] = np.full(bundle.spec.num_ws, chunk.psi, np.float32)
        inputs |= _other_inputs(chunk, bundle, rows)
        comparison.add_images(chunk.images[rows], graphs.pipeline.run(inputs, ["image", "pixels"]), distinct)


def _other_inputs(chunk: Chunk, bundle: Bundle, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Noise and transform, where the graphs take them."""
    inputs = {TRANSFORM: chunk.transform[rows]} if bundle.spec.takes_transform else {}
    if bundle.manifest.options.noise is not NoiseMode.EXPLICIT:
        return inputs
    return inputs | {noise_name(index): array[rows] for index, array in enumerate(chunk.noise)}
