"""All graphs of a bundle, layer by layer, on golden samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runtime.backends import GraphRunner, open_graphs
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.examine import OpenMarked, Subject, examine
from runtime.layers.probes import PROBED_IMAGES
from runtime.layers.reference import LayerReference
from runtime.layers.reports import LayerReport
from runtime.parity import FP32

Given = tuple[str, GraphRunner, np.ndarray, dict[str, np.ndarray]]
"""A graph's name, the graph, the golden images of a batch, and its inputs for them."""


def verify_layers(
    golden: GoldenInputs,
    graphs: OpenGraphs,
    reference: LayerReference,
    memory: int,
    open_marked: OpenMarked | None = None,
) -> list[LayerReport]:
    """Compare the layers of every graph opened: mapping (in float32), synthesis, and pipeline where there is one.

    Layers are read of a copy of the bundle, which `open_marked` opens (None: as the graphs themselves were opened, by
    their backend). `memory` is how many bytes that may take; see `examine`.
    """
    opener = open_marked or _opener(graphs)
    found = []
    for graph, runner, images, inputs in _inputs(golden, graphs, reference):
        subject = Subject(golden.bundle, graph, graphs.precision, runner, inputs, images, opener)
        found.append(examine(subject, reference, memory))
    return found


def _opener(graphs: OpenGraphs) -> OpenMarked:
    """As the graphs were opened: by the backend that was taken."""
    taken, precision = graphs.synthesis.backend, graphs.precision
    return lambda marked, graph: open_graphs(marked, [graph], precision, taken, graphs.options)[0][graph]


def _inputs(golden: GoldenInputs, graphs: OpenGraphs, reference: LayerReference) -> Iterator[Given]:
    """A batch of the first images for mapping and synthesis; one image for the pipeline, whose psi is a whole batch's.

    Not all references know the layers of more. Where one does, mapping takes all images: one of their labels has every
    class in it. And the pipeline takes the image in which most rows have a psi of their own.
    """
    samples = golden.samples
    images = golden.synthesis_images[:PROBED_IMAGES]
    if graphs.precision == FP32:
        every = np.arange(len(samples.sources)) if reference.knows_all else images
        latents = samples.sources[every, 0]
        yield "mapping", graphs.mapping, every, golden.mapping(golden.z[latents], samples.c[latents])
    yield "synthesis", graphs.synthesis, images, golden.synthesis(images)
    if graphs.pipeline is not None:
        known = golden.pipeline_images
        own = [len(np.unique(samples.psi[image])) if reference.knows_all else 0 for image in known]
        image = known[int(np.argmax(own))]
        yield "pipeline", graphs.pipeline, np.array([image]), golden.pipeline(int(image))
