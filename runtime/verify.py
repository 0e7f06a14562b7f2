"""Compare a bundle's graphs with its golden samples, on this machine, at every batch size asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from runtime.backends import GraphRunner
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import default_batch
from runtime.golden import COMPANION, GoldenInputs, GoldenSamples, compare_crops
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.parity import FP32, Comparison, Figures
from runtime.spec import GeneratorSpec

BATCHES = (1, 2, 3, 8)
"""Batch sizes that show a batch that was baked or mixed up."""
MAX_BATCH = 256
MAX_POSITIONS = 8
"""Places in a batch that the pipeline graph is tried at, from the first to the last: each takes a run of its own."""
OUTPUTS = ("image", "pixels")

Look = Callable[[str, int, np.ndarray, Sequence[np.ndarray]], None]
"""Sees what was drawn: the graph's name, the batch size, the golden images' numbers [N], their `image` and `pixels`."""
Seen = Callable[[np.ndarray, Sequence[np.ndarray]], None]


def unseen(graph: str, batch: int, images: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
    """A `Look` that is none."""


def default_batches(spec: GeneratorSpec) -> tuple[int, ...]:
    """Batch sizes to run unless told otherwise: large ones only where they fit a small device's memory."""
    largest = max(2, default_batch(spec))
    return tuple(batch for batch in BATCHES if batch <= largest)


def verify_golden(bundle: Bundle, graphs: OpenGraphs, batches: Sequence[int], look: Look = unseen) -> list[Figures]:
    """Figures of the opened graphs against the stored samples; `passed` says which are within tolerance.

    Every image is drawn at every batch size, among images unlike it; above 1 twice, at different places. (The pipeline
    graph draws each at the first batch size, and at the others as many as it takes to try their places.) Mapping is
    float32 in every precision, so it is compared with float32's graphs alone. "tail" is what it makes of what the head
    made. `look` sees every drawing.
    """
    golden, rounding = GoldenInputs.of(bundle), bundle.spec.synthesis.float32_rounding
    figures = []
    for number, batch in enumerate(check_batches(batches)):
        if graphs.precision == FP32:
            figures.append(_mapping(golden, graphs.mapping, batch))
        for name, graph in (("synthesis", graphs.synthesis), ("tail", graphs.split)):
            if graph is not None:
                comparison = Comparison(name, "golden", batch, graphs.precision, rounding)
                figures.append(_synthesis(golden, graph, comparison, batch, partial(look, name, batch)))
        if graphs.pipeline is not None:
            comparison = Comparison("pipeline", "golden", batch, graphs.precision, rounding)
            seen = partial(look, "pipeline", batch)
            figures.append(_pipeline(golden, graphs.pipeline, comparison, batch, number == 0, seen))
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


def _mapping(golden: GoldenInputs, graph: GraphRunner, batch: int) -> Figures:
    """The images' latents, all of `w`; then the classes', as much of it as is stored."""
    samples, (z, c) = golden.samples, golden.class_inputs
    z, c = np.concatenate([golden.z, z]), np.concatenate([samples.c, c])
    made = []
    for rows, new in in_batches(len(z), batch):
        made.append(graph.run(golden.mapping(z[rows], c[rows]), ["w"])[0][:new])
    w, classes = np.split(np.concatenate(made), [len(samples.w)])
    comparison = Comparison("mapping", "golden", batch)
    comparison.add(samples.w, w)
    if len(classes):
        comparison.add(samples.class_w, classes[:, : samples.class_w.shape[1]])
    return comparison.figures()


def _synthesis(
    golden: GoldenInputs, graph: GraphRunner | SplitGraphs, comparison: Comparison, batch: int, seen: Seen
) -> Figures:
    for slots, repeated in in_orders(golden.synthesis_images, batch):
        known = np.flatnonzero(slots != COMPANION)
        outputs = [array[known] for array in graph.run(golden.synthesis(slots), OUTPUTS)]
        _compare(comparison, golden.samples, slots[known], outputs, 0 if repeated else len(known))
        seen(slots[known], outputs)
    return comparison.figures()


def in_orders(images: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Images in batches of `batch`, the rest of the last one COMPANION; above 1 a second time, each one place further.

    Says of each batch whether its images are repeated.
    """
    slots = np.full(-(-len(images) // batch) * batch, COMPANION)
    slots[: len(images)] = images
    for shift in range(min(batch, 2)):
        for part in np.roll(slots, shift).reshape(-1, batch):
            yield part, shift > 0


def _pipeline(
    golden: GoldenInputs, graph: GraphRunner, comparison: Comparison, batch: int, every: bool, seen: Seen
) -> Figures:
    """One image a run, at one place after the other, among latents of others; `every`: until each image was drawn."""
    images = golden.pipeline_images
    places = np.unique(np.linspace(0, batch - 1, min(batch, MAX_POSITIONS)).round().astype(int))
    for run in range(max(len(places), len(images) if every else 0)):
        image, place = int(images[run % len(images)]), int(places[run % len(places)])
        outputs = [array[place : place + 1] for array in graph.run(golden.pipeline(image, batch, place), OUTPUTS)]
        _compare(comparison, golden.samples, np.array([image]), outputs, distinct=int(run < len(images)))
        seen(np.array([image]), outputs)
    return comparison.figures()


def _compare(
    comparison: Comparison, golden: GoldenSamples, images: np.ndarray, outputs: Sequence[np.ndarray], distinct: int
) -> None:
    compare_crops(comparison, golden.tiles[images], golden.blocks[images], outputs, distinct)
