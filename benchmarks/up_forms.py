"""Each form of a StyleGAN2's up-convolutions by itself on ONNX Runtime, in turns, beside what the cost model says.

python -m benchmarks.up_forms --runs 7
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import numpy as np
import onnx_ir as ir
import torch

from benchmarks.official_sizes import Network, official_spec
from exporter.graphs.trace import BATCH, TRACE_BATCH, GraphInput, trace
from exporter.networks.deploy.common import constant
from exporter.networks.deploy.cost_model import MACHINES, Target, choose_form, estimate
from exporter.networks.deploy.up import up_convolution
from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.up_forms import UP, UpForm, available_forms, up_steps

TAPS = np.array([1, 3, 3, 1]) / 8 * UP
"""The published networks' filter along an axis, with its gain."""
WARM_UP = 1


def layers(resolution: int) -> Iterator[tuple[int, int, int]]:
    """Input channels, output channels and side of a configuration F's up-convolutions."""
    for layer in official_spec(Network.STYLEGAN2, resolution).layers:
        if layer.up:
            yield layer.in_channels, layer.out_channels, layer.out_size // UP


def open_layer(form: UpForm, weight: np.ndarray, side: int, path: Path, options: RunOptions) -> OnnxRuntimeGraph:
    """One layer in one form, as a graph of its own: x [N, in, side, side] -> y."""
    module = up_convolution(form, weight, TAPS, side, constant, in_parts=False)
    given = GraphInput("x", torch.empty(TRACE_BATCH, weight.shape[1], side, side, device="meta"), BATCH)
    ir.save(trace(module, "layer", (given.example,), [given], ["y"]), path)
    return OnnxRuntimeGraph(path, options)


def measure(weight: np.ndarray, side: int, runs: int, threads: int | None, folder: Path) -> dict[UpForm, list[float]]:
    """Milliseconds of each form's runs, in turns."""
    x = np.random.RandomState(0).randn(1, weight.shape[1], side, side).astype(np.float32)
    options = RunOptions(threads)
    graphs = {form: open_layer(form, weight, side, folder / f"{form.value}.onnx", options) for form in UpForm}
    found: dict[UpForm, list[float]] = {form: [] for form in graphs}
    for turn in range(WARM_UP + runs):
        for form, graph in list(graphs.items())[:: 1 if turn % 2 else -1]:
            start = perf_counter()
            graph.run({"x": x}, ["y"])
            if turn >= WARM_UP:
                found[form].append(1000 * (perf_counter() - start))
    return found


@click.command()
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("--runs", type=click.IntRange(1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Default: all cores.")
@click.option("--json", "as_json", is_flag=True)
def main(resolution: str, runs: int, threads: int | None, as_json: bool) -> None:
    """Measure, and print medians with the model's estimates."""
    assert set(available_forms(TAPS)) == set(UpForm)
    rows = []
    for inputs, outputs, side in layers(int(resolution)):
        weight = np.random.RandomState(0).randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5
        with tempfile.TemporaryDirectory() as folder:
            found = measure(weight, side, runs, threads, Path(folder))
        modelled = {form: 1000 * estimate(MACHINES[Target.CPU], up_steps(form, weight, TAPS), side) for form in UpForm}
        medians = {form.value: median(times) for form, times in found.items()}
        chosen = choose_form(Target.CPU, weight, TAPS, side).value
        rows.append({"layer": f"{inputs} -> {outputs}, {side} px", "median_ms": medians, "model_ms": modelled})
        if not as_json:
            shown = "  ".join(f"{form.value} {medians[form.value]:.4g} ({modelled[form]:.3g})" for form in UpForm)
            click.echo(f"{inputs:4d} -> {outputs:3d} {side:4d} px  chosen {chosen}:  {shown}")
    if as_json:
        click.echo(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
