"""The first question on a new machine: whether the TensorRT at hand runs on this GPU at all, and if not, where it ends.

    python -m benchmarks.gpu_probe --out probe.json

Builds a tiny engine and runs it, a process for each step, so that a crash shows which step it was. Exit code: 0 where
the last step, right images from a replayed recording, succeeded.
"""

from __future__ import annotations

import faulthandler
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.gpu import machine
from runtime import Bundle
from runtime.backends import RunOptions
from runtime.backends.tensorrt import BACKENDS
from runtime.backends.tensorrt.plan import Plan, load_plan
from runtime.cuda import DeviceBlock, Gpu, Stream
from runtime.device import read_device
from runtime.engine_record import Flavour, Profile
from runtime.engines import engine_folders, read_engine
from runtime.errors import StyleganEdgeError
from runtime.graphs import OpenGraphs
from runtime.output import write_atomically
from runtime.tensorrt.log import make_log
from runtime.tensorrt.versions import Feature, Library, load_library
from runtime.verify import verify_golden

NETWORK = "stylegan2"
PROFILE = Profile(1, 1, 4)
LIMIT = 300
"""Seconds of a step."""


def say(text: object) -> None:
    """Print at once: the next call may crash."""
    click.echo(f"  {text}")
    sys.stdout.flush()


class Probe:
    """The steps, each of which stands alone."""

    def __init__(self, folder: Path, flavour: Flavour) -> None:
        self._folder, self._flavour = folder, flavour

    def driver(self) -> None:
        """The GPU and the bindings of its driver."""
        say(read_device())
        gpu = Gpu.open(0)
        say(f"{gpu.free_memory():,} bytes free")

    def library(self) -> None:
        """TensorRT, imported, and what it has."""
        library = self._library()
        say(f"{library.name}, {getattr(library.module, '__file__', '')}")
        for feature in Feature:
            say(f"{feature.name}: {library.has(feature)}")

    def create(self) -> None:
        """A builder and a runtime: their libraries meet the GPU for the first time."""
        library = self._library()
        trt, (log, messages) = library.module, make_log(library)
        say(f"builder: {trt.Builder(log)}")
        say(f"runtime: {trt.Runtime(log)}")
        say(f"said: {messages.errors + messages.warnings}")

    def build(self) -> None:
        """An engine of mapping and synthesis."""
        from engines.options import BuildOptions
        from engines.store import build_engine

        library = self._library()
        options = BuildOptions((PROFILE,))
        engine, _ = build_engine(self._bundle(), library, read_device(), options, graphs=("mapping", "synthesis"))
        for name, plan in engine.record.plans.items():
            say(f"{name}: {plan.size:,} bytes; warnings: {list(plan.warnings)}")

    def load(self) -> None:
        """Deserialise the plan and ask what it holds."""
        with self._plan() as (_, plan):
            loaded = plan._loaded
            for index in range(loaded.num_io_tensors):
                name = loaded.get_tensor_name(index)
                say(f"{name}: {loaded.get_tensor_mode(name)} {loaded.get_tensor_dtype(name)}")
            for attribute in ("num_layers", "num_optimization_profiles", "device_memory_size", "device_memory_size_v2"):
                say(f"{attribute}: {getattr(loaded, attribute, 'none')}")
            say(f"activations: {plan.activation_bytes:,} bytes")

    def context(self) -> None:
        """An execution context that TensorRT gives memory to."""
        with self._plan() as (_, plan):
            say(f"context: {plan._loaded.create_execution_context()}")

    def managed_context(self) -> None:
        """An execution context on memory of ours, as the runtime uses it."""
        with self._plan() as (_, plan):
            block = DeviceBlock(plan.activation_bytes)
            context = plan.create_context(block.address, block.size)
            say(f"context: {context}")
            stream = Stream()
            say(f"profile: {context.set_optimization_profile_async(0, int(stream))}")
            for tensor in plan.inputs:
                if tensor.free:
                    say(f"{tensor.name}: {context.set_input_shape(tensor.name, tensor.shape(1))}")
            del context

    def run(self) -> None:
        """The golden samples, without CUDA graphs."""
        self._verify(cuda_graphs=False)

    def replay(self) -> None:
        """The golden samples, with CUDA graphs."""
        self._verify(cuda_graphs=True)

    def _verify(self, cuda_graphs: bool) -> None:
        bundle = self._bundle()
        graphs = OpenGraphs.open(bundle, BACKENDS[self._flavour], RunOptions(cuda_graphs=cuda_graphs), pipeline=False)
        failed = False
        for _ in range(3):  # as it is, recorded, replayed
            for figures in verify_golden(bundle, graphs, (1, 3, 4)):
                failed |= not figures.passed
                levels = "-" if figures.levels_max is None else figures.levels_max
                what = "passed" if figures.passed else "; ".join(figures.failures())
                say(f"{figures.graph}, batch {figures.batch}: {levels} levels, {figures.max_relative:.1e}: {what}")
        graphs.close()
        if failed:
            raise SystemExit("the images are not the reference's")

    def _library(self) -> Library:
        return load_library(self._flavour)

    def _bundle(self) -> Bundle:
        return Bundle(self._folder / NETWORK)

    @contextmanager
    def _plan(self) -> Any:
        bundle, gpu = self._bundle(), Gpu.open(0)
        (folder,) = engine_folders(bundle)
        with gpu.current():
            path = bundle.graph_path("synthesis")
            plan: Plan = load_plan(self._library(), read_engine(folder), "synthesis", bundle.graph("synthesis"), path)
            say(f"said: {plan._messages.errors + plan._messages.warnings}")
            yield gpu, plan
            plan.close()


STEPS: tuple[Callable[[Probe], None], ...] = (
    Probe.driver,
    Probe.library,
    Probe.create,
    Probe.build,
    Probe.load,
    Probe.context,
    Probe.managed_context,
    Probe.run,
    Probe.replay,
)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write what each step said, as JSON.")
@click.option("--backend", type=click.Choice([item.value for item in Flavour]), default=Flavour.TENSORRT.value)
@click.option("--step", nargs=2, type=str, hidden=True, help="A step's name and its folder.")
def main(out: Path | None, backend: str, step: tuple[str, str] | None) -> None:
    """Run all steps and say where they end."""
    if step is not None:
        faulthandler.enable()
        try:
            getattr(Probe(Path(step[1]), Flavour(backend)), step[0])()
        except StyleganEdgeError as error:
            raise SystemExit(f"{type(error).__name__}: {error}") from None
        return
    steps: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        _copy_bundle(Path(folder))
        for item in STEPS:
            steps.append(_run_step(item, folder, backend))
            if out is not None:
                document = {"machine": machine(), "backend": backend, "steps": steps}
                write_atomically(out, (json.dumps(document, indent=1) + "\n").encode(), overwrite=True)
    raise SystemExit(0 if steps[-1]["code"] == 0 else 1)


def _copy_bundle(folder: Path) -> None:
    from tests.gpu.bundles import open_or_export

    found = open_or_export(NETWORK, folder).path
    if found != folder / NETWORK:
        shutil.copytree(found, folder / NETWORK, ignore=shutil.ignore_patterns("engines"))


def _run_step(step: Callable[[Probe], None], folder: str, backend: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu_probe", "--backend", backend, "--step", step.__name__, folder]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        code, said, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        code, said, errors = -1, str(error.stdout or ""), f"not done within {LIMIT} s"
    seconds = round(time.perf_counter() - start, 2)
    how = "ok" if code == 0 else f"FAILED, exit code {code}"
    click.echo(f"{step.__name__}: {how}, {seconds} s ({(step.__doc__ or '').strip()})")
    click.echo((said + (errors[-3000:] if code else "")).rstrip())
    return {
        "step": step.__name__,
        "code": code,
        "seconds": seconds,
        "said": said.splitlines(),
        "errors": errors[-4000:],
    }


if __name__ == "__main__":
    main()
