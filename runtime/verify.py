"""Compare a bundle's graphs with its golden samples, on this machine, at every batch size asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from runtime.backends import GraphRunner
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import default_batch
from runtime.golden import GoldenSamples, block_means, cut_tiles
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.manifest import NoiseMode
from runtime.noise import noise_arrays
from runtime.parity import FP32, Comparison, Figures, to_pixels
from runtime.spec import TRANSFORM, GeneratorSpec, latent_names, noise_name

BATCHES = (1, 2, 3, 8)
"""Batch sizes that show a batch that was baked or mixed up."""
MAX_BATCH = 256


def default_batches(spec: GeneratorSpec) -> tuple[int, ...]:
    """Batch sizes to run unless told otherwise: large ones only where they fit a small device's memory."""
    largest = max(2, default_batch(spec))
    return tuple(batch for batch in BATCHES if batch <= largest)


def verify_golden(bundle: Bundle, graphs: OpenGraphs, batches: Sequence[int]) -> list[Figures]:
    """Figures of the opened graphs against the stored samples; `passed` says which are within tolerance.

    Mapping is float32 in every precision, so it is compared with float32's graphs alone. "tail" is what it makes of
    what the head made.
    """
    golden, rounding = GoldenSamples.read(bundle), bundle.spec.synthesis.float32_rounding
    figures = []
    for batch in check_batches(batches):
        if graphs.precision == FP32:
            figures.append(_mapping(golden, graphs.mapping, batch))
        figures.append(
            _synthesis(
                golden,
                bundle,
                graphs.synthesis,
                Comparison("synthesis", "golden", batch, graphs.precision, rounding),
                batch,
            )
        )
        if graphs.split is not None:
            figures.append(
                _synthesis(
                    golden, bundle, graphs.split, Comparison("tail", "golden", batch, graphs.precision, rounding), batch
                )
            )
        if graphs.pipeline is not None:
            figures.append(_pipeline(golden, bundle, graphs, graphs.pipeline, batch))
    return figures


def check_batches(batches: Sequence[int]) -> Sequence[int]:
    """Raise InputError unless every batch size is within bounds."""
    for batch in batches:
        if not 1 <= batch <= MAX_BATCH:
            raise InputError(f"batch {batch} is out of range, expected 1 to {MAX_BATCH}")
    return batches


def in_batches(count: int, batch: int) -> Iterable[tuple[np.ndarray, int]]:
    """Indices 0 .. count-1 in batches of exactly `batch`, and how many of each are new: the last may repeat."""
    for start in range(0, count, batch):
        yield np.arange(start, start + batch) % count, min(batch, count - start)


def _mapping(golden: GoldenSamples, graph: GraphRunner, batch: int) -> Figures:
    comparison = Comparison("mapping", "golden", batch)
    for rows, distinct in in_batches(len(golden.z), batch):
        inputs = {"z": golden.z[rows]} | ({"c": golden.c[rows]} if golden.c.shape[1] else {})
        comparison.add(golden.w[rows], graph.run(inputs, ["w"])[0], distinct)
    return comparison.figures()


def _synthesis(
    golden: GoldenSamples, bundle: Bundle, graph: GraphRunner | SplitGraphs, comparison: Comparison, batch: int
) -> Figures:
    for rows, distinct in in_batches(len(golden.styles), batch):
        inputs = {"styles": golden.styles[rows], **golden_inputs(golden, bundle, rows)}
        _compare_images(comparison, golden, rows, graph.run(inputs, ["image", "pixels"]), distinct)
    return comparison.figures()


def _pipeline(golden: GoldenSamples, bundle: Bundle, graphs: OpenGraphs, graph: GraphRunner, batch: int) -> Figures:
    """Images whose rows all come from their own latents; psi is one vector a run, so images of a batch share it."""
    rounding = bundle.spec.synthesis.float32_rounding
    comparison = Comparison("pipeline", "golden", batch, graphs.precision, rounding)
    for index in np.flatnonzero(~golden.mixed):
        inputs = pipeline_inputs(golden, bundle, int(index), batch)
        outputs = graph.run(inputs, ["image", "pixels"])
        _compare_images(comparison, golden, np.full(batch, index), outputs, distinct=1)
    return comparison.figures()


def pipeline_inputs(golden: GoldenSamples, bundle: Bundle, index: int, batch: int) -> dict[str, np.ndarray]:
    """Inputs of the pipeline graph for `batch` copies of one golden image."""
    first = int(golden.first[index])
    names = latent_names(bundle.manifest.options.latents_per_image)
    inputs = {name: np.repeat(golden.z[first + k][None], batch, axis=0) for k, name in enumerate(names)}
    if golden.c.shape[1]:
        inputs["c"] = np.repeat(golden.c[first][None], batch, axis=0)
    inputs["psi"] = np.full(bundle.spec.num_ws, golden.psi[index], np.float32)
    return inputs | golden_inputs(golden, bundle, np.full(batch, index))


def golden_inputs(golden: GoldenSamples, bundle: Bundle, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs beside the styles of the images `rows`: noise [N, 1, H, W] and transform [N, 3, 3], where there are."""
    inputs = {TRANSFORM: golden.transform[rows]} if bundle.spec.takes_transform else {}
    if bundle.manifest.options.noise is not NoiseMode.EXPLICIT:
        return inputs
    per_image = [noise_arrays(bundle.spec, golden.noise_of(int(index)), bundle.stored_noise) for index in rows]
    return inputs | {noise_name(layer): np.concatenate(maps) for layer, maps in enumerate(zip(*per_image))}


def _compare_images(
    comparison: Comparison, golden: GoldenSamples, rows: np.ndarray, outputs: Sequence[np.ndarray], distinct: int
) -> None:
    image, pixels = outputs
    tiles = golden.tiles[rows]
    comparison.add(tiles, cut_tiles(image), distinct)
    comparison.add(golden.blocks[rows], block_means(image), distinct=0)
    measured = cut_tiles(pixels.transpose(0, 3, 1, 2))
    expected = to_pixels(tiles.reshape(-1, *tiles.shape[2:])).transpose(0, 3, 1, 2)
    comparison.add_pixels(expected.reshape(tiles.shape), measured, distinct)
