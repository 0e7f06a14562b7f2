"""Compare a bundle with the checkpoint it came from, over fresh random inputs, in PyTorch and on a backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from exporter.allocator import keep_freed_memory
from exporter.checkpoints import Checkpoint
from exporter.samples import Chunk, ReferenceSamples, other_inputs
from runtime.allocator import return_freed_memory
from runtime.backends import GraphRunner
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.generator import default_batch
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.noise import check_seed
from runtime.parity import FP32, Comparison, Figures
from runtime.parity.picture import Drawing, ImagePair, PictureComparison
from runtime.parity.samples import Sample, plan_samples
from runtime.spec import latent_names
from runtime.verify import check_batches, in_batches

MAX_SAMPLES = 65_536
KEPT_BYTES = 256 << 20
"""Reference images that are drawn before any graph runs, and kept for all precisions: 21 of 1024 px. What PyTorch needs
to draw and what a backend needs then add up for the images beyond these alone, which memory could not hold as well."""


def verify_reference(
    bundle: Bundle,
    checkpoint: Checkpoint,
    graphs: OpenGraphs,
    batches: Sequence[int],
    samples: int,
    seed: int,
    pictures: PictureComparison | None = None,
) -> list[Figures]:
    """Figures of every graph at every batch size, over `samples` images planned from `seed`.

    Every drawing is handed to `pictures` too. Raises InputError where the checkpoint is not the one that the bundle was
    made of.
    """
    return Reference(bundle, checkpoint, batches, samples, seed).compare(graphs, pictures)


class Reference:
    """The images of a plan, drawn by the reference network, that the graphs of any precision are compared with."""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, batches: Sequence[int], samples: int, seed: int) -> None:
        """Draw the first images, as many as `KEPT_BYTES` hold; the others are drawn when they are compared.

        Raises InputError where an argument is out of range, or the checkpoint is not the one of the bundle.
        """
        if not 1 <= samples <= MAX_SAMPLES:
            raise InputError(f"samples is {samples}, expected 1 to {MAX_SAMPLES}")
        check_seed(seed)
        self._batches = check_batches(batches)
        self._bundle = bundle
        self.plan: tuple[Sample, ...] = plan_samples(bundle.spec, bundle.manifest.options, samples, seed)
        keep_freed_memory()
        network = matching(bundle, checkpoint).completed().build()
        size = max(*batches, default_batch(bundle.spec))
        drawn = ReferenceSamples(network, bundle, self.plan, size)
        self._kept = list(islice(drawn.chunks(), KEPT_BYTES // drawn.chunk_bytes))
        self._others = drawn if len(self._kept) * size < samples else None  # the network is let go of where it is done
        return_freed_memory()

    def compare(self, graphs: OpenGraphs, pictures: PictureComparison | None = None) -> list[Figures]:
        """Figures of every graph at every batch size; every drawing is handed to `pictures` too, and settled."""
        run = _Run(self._bundle, graphs, self._batches, pictures)
        for chunk in self._chunks():
            run.add(chunk)
            if pictures is not None:
                pictures.settle()
        return run.figures()

    def _chunks(self) -> Iterator[Chunk]:
        yield from self._kept
        if self._others is not None:
            yield from self._others.chunks(begin=len(self._kept))


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


class _Run:
    """The graphs of one precision, each compared at each batch size, chunk by chunk."""

    def __init__(
        self, bundle: Bundle, graphs: OpenGraphs, batches: Sequence[int], pictures: PictureComparison | None
    ) -> None:
        self._bundle, self._graphs, self._pictures = bundle, graphs, pictures
        self._drawn = dict.fromkeys(batches, 0)  # by the pipeline, at each batch size
        names = ["mapping"] * (graphs.precision == FP32) + ["synthesis"]
        names += ["tail"] * (graphs.split is not None) + ["pipeline"] * (graphs.pipeline is not None)
        rounding = bundle.spec.synthesis.float32_rounding
        self._comparisons = {
            (name, batch): Comparison(name, "reference", batch, graphs.precision, rounding)
            for batch in batches
            for name in names
        }

    def add(self, chunk: Chunk) -> None:
        """Draw a chunk with every graph, at every batch size."""
        for (name, batch), comparison in self._comparisons.items():
            if name == "mapping":
                self._run_mapping(chunk, comparison, batch)
            elif name == "synthesis":
                self._run_synthesis(chunk, self._graphs.synthesis, comparison, Drawing(name, batch, 0))
            elif name == "tail":
                assert self._graphs.split is not None
                self._run_synthesis(chunk, self._graphs.split, comparison, Drawing(name, batch, 0))
            else:
                self._run_pipeline(chunk, comparison, batch)

    def figures(self) -> list[Figures]:
        """Of every graph at every batch size that drew anything."""
        return [comparison.figures() for comparison in self._comparisons.values()]

    def _run_mapping(self, chunk: Chunk, comparison: Comparison, batch: int) -> None:
        for rows, distinct in in_batches(len(chunk.z), batch):
            inputs = {"z": chunk.z[rows]} | ({"c": chunk.c[rows]} if chunk.c.shape[1] else {})
            comparison.add(chunk.w[rows], self._graphs.mapping.run(inputs, ["w"])[0], distinct)

    def _run_synthesis(
        self, chunk: Chunk, graph: GraphRunner | SplitGraphs, comparison: Comparison, drawing: Drawing
    ) -> None:
        for rows, distinct in in_batches(len(chunk.samples), drawing.batch):
            inputs = {"styles": chunk.styles[rows], **other_inputs(self._bundle, [chunk.samples[row] for row in rows])}
            outputs = graph.run(inputs, ["image", "pixels"])
            comparison.add_images(chunk.images[rows], outputs, distinct)
            for position, row in enumerate(rows):
                self._look(chunk, int(row), Drawing(drawing.graph, drawing.batch, position), outputs)

    def _run_pipeline(self, chunk: Chunk, comparison: Comparison, batch: int) -> None:
        """Unmixed samples alone, each at one place of a batch: psi is one vector a run.

        The others of the batch are what the network makes of the next samples' latents with this psi: images of their
        own, so that one in another's place is seen, but none that the reference drew.
        """
        assert self._graphs.pipeline is not None
        spec, sources = self._bundle.spec, self._bundle.manifest.options.latents_per_image
        for index, sample in enumerate(chunk.samples):
            if sample.mixed:
                continue
            position = self._drawn[batch] % batch
            self._drawn[batch] += 1
            rows = (np.arange(batch) + index - position) % len(chunk.samples)
            first = np.array(chunk.first)[rows]
            inputs = {name: chunk.z[first + source] for source, name in enumerate(latent_names(sources))}
            if chunk.c.shape[1]:
                inputs["c"] = chunk.c[first]
            inputs["psi"] = sample.psi_rows(spec.num_ws)
            inputs |= other_inputs(self._bundle, [chunk.samples[row] for row in rows])
            outputs = self._graphs.pipeline.run(inputs, ["image", "pixels"])
            own = slice(position, position + 1)
            comparison.add_images(chunk.images[index : index + 1], [array[own] for array in outputs])
            self._look(chunk, index, Drawing("pipeline", batch, position), outputs)

    def _look(self, chunk: Chunk, row: int, drawing: Drawing, outputs: Sequence[np.ndarray]) -> None:
        if self._pictures is not None:
            image, pixels = (array[drawing.position] for array in outputs)
            self._pictures.add(chunk.samples[row], drawing, ImagePair(chunk.images[row], image, pixels))
