"""Time images on the CPU: our reference in eager PyTorch, `torch.compile`, a plain export of it, and our graph.

    python -m benchmarks.speed --network stylegan3-t --resolution 256 --batch 1 --json speed-256.json

Contestants take turns, one run each, so that a machine that slows down slows all of them. Parity is checked first, and
no figure is printed for one that fails it. Ratios are medians of the ratios within a turn. The plain export is the
reference traced as it stands, with its per-sample weights, at the batch measured: what `torch.onnx.export` gives.
PyTorch's contestants and the plain export up-sample over inserted zeros, as the papers' code does where its custom
kernels can't run; for StyleGAN3 our faster reference, which has none, is a contestant too.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import click
import numpy as np
import torch

from benchmarks.official_sizes import Network
from benchmarks.random_checkpoint import random_checkpoint
from benchmarks.zero_insertion import with_zero_insertion
from exporter import load_checkpoint
from exporter.graphs import build_synthesis
from exporter.networks import ReferenceNetwork
from runtime.backends.base import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.manifest import NoiseMode
from runtime.mixing import identity_mask
from runtime.parity import Comparison
from runtime.spec import TRANSFORM, Generation, noise_name

WARM_UP = 2
"""Runs that are not counted: allocation, code generation, caches."""

Contestant = Callable[[], Sequence[np.ndarray]]


@click.command()
@click.option("--network", type=click.Choice([item.value for item in Network]), default=Network.STYLEGAN2.value)
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="256")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Measure this one instead of random weights.")
@click.option("--batch", type=click.IntRange(1, 32), default=1)
@click.option("--runs", type=click.IntRange(1, 1000), default=10)
@click.option("--threads", type=click.IntRange(1, 256), default=os.cpu_count())
@click.option("--skip", multiple=True, type=click.Choice(["compile", "plain"]), help="Leave a contestant out.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(
    network: str,
    resolution: str,
    checkpoint: Path | None,
    batch: int,
    runs: int,
    threads: int,
    skip: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Print a table of medians and ratios."""
    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint) if checkpoint else random_checkpoint(int(resolution), Network(network))
    spec, reference = loaded.spec, with_zero_insertion(loaded.build())
    random = np.random.RandomState(0)
    ws = random.randn(batch, spec.num_ws, spec.w_dim).astype(np.float32)
    noise = [random.randn(1, 1, *shape).astype(np.float32) for shape in spec.noise_shapes]
    contestants: dict[str, Contestant] = {"PyTorch eager": _eager(reference, ws, noise)}
    if spec.generation is Generation.STYLEGAN3:
        contestants["PyTorch eager, no inserted zeros"] = _eager(loaded.build(), ws, noise)
    with tempfile.TemporaryDirectory() as folder:
        if "compile" not in skip:
            contestants["torch.compile"] = _eager(reference, ws, noise, compiled=True)
        if "plain" not in skip:
            contestants["plain export, ONNX Runtime"] = _plain(reference, ws, noise, Path(folder), threads)
        graph = build_synthesis(loaded, identity_mask(spec.num_ws), NoiseMode.EXPLICIT)
        graph.save(Path(folder))
        runner = OnnxRuntimeGraph(Path(folder) / "synthesis.onnx", RunOptions(threads=threads))
        feed = {"styles": ws, **{noise_name(index): array for index, array in enumerate(noise)}}
        if spec.takes_transform:
            feed[TRANSFORM] = np.eye(3, dtype=np.float32)[None]
        contestants["ours, ONNX Runtime"] = lambda: runner.run(feed, ["image", "pixels"])
        times = _race(contestants, runs, spec.synthesis.float32_rounding)
    document = _document(loaded.name, batch, runs, threads, times)
    _print(document)
    if json_path is not None:
        json_path.write_text(json.dumps(document, indent=1) + "\n")


def _eager(network: ReferenceNetwork, ws: np.ndarray, noise: list[np.ndarray], compiled: bool = False) -> Contestant:
    styles, maps = torch.from_numpy(ws), [torch.from_numpy(array) for array in noise]
    synthesis: Any = torch.compile(network.synthesis) if compiled else network.synthesis

    def run() -> Sequence[np.ndarray]:
        with torch.no_grad():
            image = synthesis(styles, maps)
            pixels = (image.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)
        return image.numpy(), pixels.numpy()

    return run


class _Plain(torch.nn.Module):
    """The reference as it stands, for `torch.onnx.export`."""

    def __init__(self, network: ReferenceNetwork) -> None:
        super().__init__()
        self.synthesis = network.synthesis

    def forward(self, ws: torch.Tensor, noise: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.synthesis(ws, noise)
        return image, (image.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def _plain(
    network: ReferenceNetwork, ws: np.ndarray, noise: list[np.ndarray], folder: Path, threads: int
) -> Contestant:
    names = ["styles", *(noise_name(index) for index in range(len(noise)))]
    arguments = (torch.from_numpy(ws), [torch.from_numpy(array) for array in noise])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Plain(network).eval(),
            arguments,
            dynamo=True,
            input_names=names,
            output_names=["image", "pixels"],
            verbose=False,
        )
    assert program is not None
    path = folder / "plain.onnx"
    program.save(path)
    runner = OnnxRuntimeGraph(path, RunOptions(threads=threads))
    feed = dict(zip(names, [ws, *noise]))
    return lambda: runner.run(feed, ["image", "pixels"])


def _race(contestants: dict[str, Contestant], runs: int, rounding: float) -> dict[str, list[float]]:
    """Seconds of each run of each contestant that draws the right images."""
    first = next(iter(contestants))
    reference = contestants[first]()[0]
    for name in list(contestants):
        comparison = Comparison("synthesis", "reference", len(reference), rounding=rounding)
        comparison.add_images(reference, contestants[name]())
        if not comparison.figures().passed:
            click.echo(f"{name}: left out, its images differ ({'; '.join(comparison.figures().failures())})")
            del contestants[name]
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(WARM_UP + runs):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return times


def _document(name: str, batch: int, runs: int, threads: int, times: dict[str, list[float]]) -> dict[str, Any]:
    baseline = np.array(times["PyTorch eager"])
    return {
        "checkpoint": name,
        "batch": batch,
        "runs": runs,
        "threads": threads,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {"torch": torch.__version__, **{item: version(item) for item in ("onnxruntime", "onnx", "numpy")}},
        "contestants": {
            contestant: {
                "median_s": float(np.median(values)),
                "quartiles_s": [float(item) for item in np.percentile(values, [25, 75])],
                "times_eager": float(np.median(baseline / np.array(values))),
            }
            for contestant, values in times.items()
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _print(document: dict[str, Any]) -> None:
    print(
        f"{document['checkpoint']}, batch {document['batch']}, {document['threads']} threads, {document['runs']} runs"
    )
    print("| contestant | median s | quartiles s | times eager |")
    print("|---|---|---|---|")
    for name, row in document["contestants"].items():
        low, high = row["quartiles_s"]
        print(f"| {name} | {row['median_s']:.3f} | {low:.3f} - {high:.3f} | {row['times_eager']:.2f} |")


if __name__ == "__main__":
    main()
