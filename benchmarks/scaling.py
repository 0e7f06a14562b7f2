"""What an image costs against resolution, batch and threads: StyleGAN2 of official size on ONNX Runtime, in turns.

python -m benchmarks.scaling --json scaling.json --plot scaling.png
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time

import click
import numpy as np

from benchmarks.official_sizes import Network
from benchmarks.random_checkpoint import random_checkpoint
from exporter.graphs import build_synthesis
from exporter.networks.deploy import Form
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.cost import count_cost
from runtime.mixing import identity_mask
from runtime.spec import GeneratorSpec, noise_name

RESOLUTIONS = (64, 128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8, 16, 32)
BATCH_RESOLUTION = 64
"""At which the batch grows: 32 images of it are as much work as ten of 256 px."""
THREADS = (1, 2)
WARM_UP = 1


@dataclass(frozen=True)
class Point:
    """One measured case. Times are of a batch; `cores` is processor time by the clock's."""

    resolution: int
    batch: int
    threads: int
    gmac: float
    median_s: float
    quartiles_s: tuple[float, float]
    cores: float

    @property
    def rate(self) -> float:
        """GMAC a second."""
        return self.gmac * self.batch / self.median_s


def open_networks(resolution: int, folder: Path) -> tuple[GeneratorSpec, dict[int, OnnxRuntimeGraph]]:
    """A network of random weights, opened with each number of threads."""
    checkpoint = random_checkpoint(resolution, Network.STYLEGAN2).completed()
    info = build_synthesis(checkpoint, Form(identity_mask(checkpoint.spec.num_ws).matrix)).save(folder)
    opened = {count: OnnxRuntimeGraph(folder / info.file, RunOptions(count)) for count in THREADS}
    return checkpoint.spec, opened


def inputs_of(spec: GeneratorSpec, batch: int) -> dict[str, np.ndarray]:
    """Random styles, and one set of noise for all images."""
    random = np.random.RandomState(0)
    maps = {noise_name(index): random.randn(1, 1, *shape) for index, shape in enumerate(spec.noise_shapes)}
    styles = {"styles": random.randn(batch, spec.num_ws, spec.w_dim)}
    return {name: array.astype(np.float32) for name, array in (styles | maps).items()}


def measure(cases: Sequence[tuple[Point, Callable[[], object]]], runs: int) -> list[Point]:
    """Run all in turns; the points with their times."""
    wall: list[list[float]] = [[] for _ in cases]
    used: list[list[float]] = [[] for _ in cases]
    for turn in range(WARM_UP + runs):
        for index in range(len(cases))[:: 1 if turn % 2 else -1]:
            start, before = perf_counter(), process_time()
            cases[index][1]()
            if turn >= WARM_UP:
                used[index].append(process_time() - before)
                wall[index].append(perf_counter() - start)
    return [
        Point(
            point.resolution,
            point.batch,
            point.threads,
            point.gmac,
            median(times),
            (quantiles(times)[0], quantiles(times)[2]),
            sum(processor) / sum(times),
        )
        for (point, _), times, processor in zip(cases, wall, used)
    ]


def network_points(resolution: int, batches: Sequence[int], runs: int) -> list[Point]:
    """One resolution at every batch and number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        spec, graphs = open_networks(resolution, Path(folder))
    gmac = count_cost(spec).synthesis / 1e9
    cases = []
    for batch in batches:
        given = inputs_of(spec, batch)
        for threads, graph in graphs.items():
            point = Point(resolution, batch, threads, gmac, 0, (0, 0), 0)
            cases.append((point, partial(graph.run, given, ["pixels"])))
    with closing(graphs[THREADS[0]]), closing(graphs[THREADS[1]]):
        return measure(cases, runs)


def draw(points: Sequence[Point], path: Path) -> None:
    """Seconds against GMAC, and time an image against the batch, with lines of proportion."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for threads, marker in zip(THREADS, "os"):
        single = [item for item in points if item.threads == threads and item.batch == 1]
        left.plot([p.gmac for p in single], [p.median_s for p in single], marker=marker, label=f"threads {threads}")
        grown = [item for item in points if item.threads == threads and item.resolution == BATCH_RESOLUTION]
        times = [1000 * p.median_s / p.batch for p in grown]
        right.plot([p.batch for p in grown], times, marker=marker, label=f"threads {threads}")
    single = [item for item in points if item.threads == THREADS[-1] and item.batch == 1]
    line = [single[0].median_s * p.gmac / single[0].gmac for p in single]
    left.plot([p.gmac for p in single], line, "k:", label="in proportion to 64 px")
    for point in single:
        left.annotate(
            f"{point.resolution} px", (point.gmac, point.median_s), textcoords="offset points", xytext=(4, -11)
        )
    left.set(xlabel="GMAC an image", ylabel="median seconds an image, N=1")
    left.set_xlim(0, 1.2 * single[-1].gmac)
    left.set_ylim(0)
    right.set(
        xlabel="batch (images)", ylabel=f"milliseconds an image, {BATCH_RESOLUTION} px", xscale="log", ylim=(0, None)
    )
    right.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
    right.set_xticks([], minor=True)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--runs", type=click.IntRange(2), default=5, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the points here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture here.")
def main(runs: int, json_path: Path | None, plot: Path | None) -> None:
    """Measure, and print a table."""
    points: list[Point] = []
    for resolution in RESOLUTIONS:
        batches = BATCHES if resolution == BATCH_RESOLUTION else (1,)
        for point in network_points(resolution, batches, runs):
            points.append(point)
            low, high = point.quartiles_s
            click.echo(
                f"| {point.resolution} | {point.batch} | {point.threads} | {point.gmac:.1f} | {point.median_s:.4g} | "
                f"{low:.4g} - {high:.4g} | {point.rate:.1f} | {point.cores:.2f} |"
            )
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n")
    if plot is not None:
        draw(points, plot)


if __name__ == "__main__":
    main()
