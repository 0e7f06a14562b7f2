"""Memory that engines of official-size networks need on the GPU: counted from their graphs, and one estimate.

python -m benchmarks.engine_memory                     the table of docs/jetson.md
python -m benchmarks.engine_memory --build --json      with what NVIDIA's builder takes on the CPU

Weights are the graphs' constants, buffers what `runtime.backends.tensorrt` allocates for inputs and outputs.
Activations are an estimate, of a runtime that fuses nothing and reuses memory perfectly: each tensor inside a graph
lives from the node that makes it to the last that reads it, in the order of the file. TensorRT may need less, for it
fuses, or more, for its workspace.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import click
import onnx

from benchmarks.official_sizes import Network
from engines.options import input_shapes
from runtime.backends.tensorrt.plan import Tensor
from runtime.engine_record import Profile
from runtime.manifest import GraphInfo
from runtime.mixing import identity_mask

CASES = (
    "stylegan2:256",
    "stylegan2:512",
    "stylegan2:1024",
    "stylegan1:256",
    "stylegan1:512",
    "stylegan1:1024",
    "stylegan3-t:256",
    "stylegan3-t:512",
    "stylegan3-r:256",
    "stylegan3-r:512",
)
BATCHES = (1, 4, 8)
"""The last is the largest of a build that is told nothing."""
BUILD_PROFILE = ("1", "1", "4")
SHOWN = ("weights", "buffers", "pinned", "activations", "total")

Shape = Sequence[int]


@dataclass(frozen=True)
class Memory:
    """Bytes of an engine whose largest batch is `batch`, one call at a time. `activations` are estimated."""

    network: str
    batch: int
    weights: int
    buffers: int
    pinned: int
    activations: int

    @property
    def total(self) -> int:
        """What is held on the GPU and pinned: on a Jetson, one memory serves both."""
        return self.weights + self.buffers + self.pinned + self.activations


@dataclass(frozen=True)
class Build:
    """A build by TensorRT-RTX on the CPU: seconds and peak resident bytes of its process, and bytes of the plans."""

    network: str
    seconds: float
    peak: int
    plans: int


def peak_activations(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> int:
    """The most bytes that tensors inside a graph without branches need at once, its inputs having these shapes."""
    sizes = _sizes_inside(model, shapes)
    last_use = {name: index for index, node in enumerate(model.graph.node) for name in node.input}
    alive: dict[str, int] = {}
    peak = 0
    for index, node in enumerate(model.graph.node):
        alive |= {name: sizes[name] for name in node.output if name in sizes}
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last_use.get(name, index) > index}
    return peak


def _sizes_inside(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Bytes of each tensor that is neither a constant nor an input or output. Raises ValueError for a free size."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ())):
            dim.dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    found = {item.name: item.type.tensor_type for item in inferred.graph.value_info}
    sizes = {}
    for name in (name for node in model.graph.node for name in node.output if name and name not in ends):
        if name not in found or not all(dim.HasField("dim_value") for dim in found[name].shape.dim):
            raise ValueError(f"{model.graph.name}: the shape of {name} is not known")
        shape = [dim.dim_value for dim in found[name].shape.dim]
        sizes[name] = math.prod(shape) * onnx.helper.tensor_dtype_to_np_dtype(found[name].elem_type).itemsize
    return sizes


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of a graph's constants."""
    return sum(
        math.prod(item.dims) * onnx.helper.tensor_dtype_to_np_dtype(item.data_type).itemsize
        for item in model.graph.initializer
    )


def buffer_bytes(info: GraphInfo, batch: int) -> int:
    """Bytes of inputs and outputs on the GPU; as many are pinned in host memory (`runtime.backends.tensorrt.lane`)."""
    return sum(Tensor.of(item).size(batch) for item in (*info.inputs, *info.outputs))


def engine_memory(
    name: str, graphs: Sequence[tuple[GraphInfo, onnx.ModelProto]], batches: Sequence[int]
) -> Iterator[Memory]:
    """What an engine of several graphs needs, for each largest batch. Noise is one for all images, as plans expect."""
    for batch in batches:
        buffers = sum(buffer_bytes(info, batch) for info, _ in graphs)
        activations = 0
        for info, model in graphs:
            shapes = {
                key: typical for key, (_, typical, _) in input_shapes(info.inputs, Profile(1, batch, batch)).items()
            }
            activations += peak_activations(model, shapes)
        yield Memory(name, batch, sum(weight_bytes(model) for _, model in graphs), buffers, buffers, activations)


def _measure(case: str, batches: Sequence[int], folder: Path) -> list[Memory]:
    """Write the graphs of a network with random weights into a folder, and count."""
    from benchmarks.random_checkpoint import random_checkpoint
    from exporter.graphs import build_mapping, build_synthesis
    from exporter.networks.deploy import Form

    network, resolution = case.split(":")
    checkpoint = random_checkpoint(int(resolution), Network(network))
    synthesis = build_synthesis(checkpoint, Form(identity_mask(checkpoint.spec.num_ws).matrix))
    infos = [graph.save(folder) for graph in (build_mapping(checkpoint), synthesis)]
    return list(engine_memory(case, [(info, onnx.load(folder / info.file)) for info in infos], batches))


def _build(case: str, graphs: Sequence[Path], libraries: Path) -> Build:
    """Build plans in a process of its own. Its peak is read as it ends: that of `RUSAGE_CHILDREN` is of any child."""
    from tests.engines.tensorrt_cpu.plans import BUILDER
    from tests.engines.tensorrt_cpu.session import session_environment

    command = [sys.executable, "-m", BUILDER, *BUILD_PROFILE, *map(str, graphs)]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=session_environment(libraries))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise click.ClickException(f"{case}: the builder ended with {process.returncode}")
    reports = json.loads(text)
    refused = [report["errors"] for report in reports if not report["plan_bytes"]]
    if refused:
        raise click.ClickException(f"{case}: the builder made no plan: {refused[0]}")
    return Build(case, round(seconds, 1), usage.ru_maxrss * 1024, sum(report["plan_bytes"] for report in reports))


def _libraries(folder: Path) -> Path:
    from tests.engines.tensorrt_cpu.libraries import link_libraries, unavailable

    reason = unavailable()
    if reason is not None:
        raise click.ClickException(reason)
    folder.mkdir()
    return link_libraries(folder)


def _case(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        network, _, resolution = value.partition(":")
        if network not in {item.value for item in Network} or resolution not in ("64", "128", "256", "512", "1024"):
            raise click.BadParameter(f"{value!r} is not NETWORK:PIXELS like stylegan2:1024")
    return values


@click.command()
@click.option("--network", "cases", multiple=True, default=CASES, callback=_case, metavar="NETWORK:PIXELS")
@click.option("--batch", "batches", type=click.IntRange(1, 64), multiple=True, default=BATCHES)
@click.option("--build", is_flag=True, help="Build with TensorRT-RTX on the CPU too (tests/engines/tensorrt_cpu).")
@click.option("--json", "as_json", is_flag=True)
def main(cases: tuple[str, ...], batches: tuple[int, ...], build: bool, as_json: bool) -> None:
    """Print what engines need, in MB of a million bytes (in bytes with --json)."""
    memory: list[Memory] = []
    builds: list[Build] = []
    with tempfile.TemporaryDirectory() as name:
        libraries = _libraries(Path(name) / "libraries") if build else None
        if libraries is not None:
            builds.append(_build("nothing", [], libraries))
        for case in cases:
            folder = Path(name) / case
            folder.mkdir()
            # A process for each network: what tracing leaves behind stays out of the next, and of a build's figures.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                memory += pool.submit(_measure, case, batches, folder).result()
            if libraries is not None:
                builds.append(_build(case, sorted(folder.glob("*.onnx")), libraries))
    if as_json:
        print(json.dumps({"memory": list(map(asdict, memory)), "builds": list(map(asdict, builds))}, indent=1))
        return
    for row in memory:
        words = ", ".join(f"{key} {getattr(row, key) / 1e6:.0f}" for key in SHOWN)
        print(f"{row.network}, N={row.batch}: {words} MB")
    for item in builds:
        print(f"build of {item.network}: {item.seconds} s, peak {item.peak / 1e6:.0f}, plans {item.plans / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
