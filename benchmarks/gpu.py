"""Time images on a GPU: TensorRT, ONNX Runtime, and the PyTorch reference eager and compiled, in one run.

    python -m benchmarks.gpu --prepare bundles                    # no GPU needed: checkpoints and bundles
    python -m benchmarks.gpu --bundles bundles --out results.json

Contestants take turns in one process, one run each, so that a GPU that slows down slows all of them. Before it is
timed, each is compared with the bundle's golden samples on the very inputs that are timed, and no speed is written
without that error. A contestant that fails is a line of the document with its error. The document is written anew after
each batch, so that a run that is stopped leaves what it had measured.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import click
import numpy as np

from benchmarks.gpu_contestants import Contestant, Entrant, entrants
from benchmarks.gpu_networks import NETWORKS, prepare
from runtime import Bundle
from runtime.bench import Inputs
from runtime.bench.machine import processor, versions
from runtime.bench.race import told
from runtime.bench.turns import take_turns
from runtime.device import read_device
from runtime.errors import BackendUnavailableError, StyleganEdgeError
from runtime.manifest import MANIFEST
from runtime.output import write_atomically

FORMAT = 1
"""Of the document."""
WARM_UP = 3
"""Runs that are not counted, beside those that parity takes: allocation, code generation, recording."""
MAX_BATCH = 64
VERSIONS = (
    "stylegan-edge", "numpy", "torch", "triton", "onnx", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13", "cuda-bindings", "tensorrt", "tensorrt-cu13-bindings",
    "tensorrt-cu12-bindings", "tensorrt-rtx", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12",
)  # fmt: skip
"""Packages whose versions the document gives, where they are installed."""
_SMI_FIELDS = "name,driver_version,vbios_version,pstate,clocks.max.sm,clocks.max.memory,power.limit,memory.total"


def _batches(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """`1,4,8` -> batches, with one line for anything else."""
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not numbers like 1,4,8") from None
    if not all(1 <= number <= MAX_BATCH for number in numbers):
        raise click.BadParameter(f"{value!r}: a batch is 1 to {MAX_BATCH}")
    return numbers


@click.command()
@click.option("--prepare", "target", type=click.Path(path_type=Path), help="Write checkpoints and bundles, and end.")
@click.option("--bundles", type=click.Path(path_type=Path), help="The folder that --prepare wrote.")
@click.option("--out", type=click.Path(path_type=Path), help="The JSON document.")
@click.option("--sizes", help=f"Names, with commas [default: all that are there of {', '.join(NETWORKS)}].")
@click.option("--batches", callback=_batches, default="1,4,8", show_default=True)
@click.option("--runs", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--seconds", type=click.FloatRange(0), default=6.0, show_default=True, help="Of runs, a contestant.")
@click.option("--limit", type=click.FloatRange(1), default=240.0, show_default=True, help="Seconds to get ready.")
@click.option("--compile", "mode", default="max-autotune", show_default=True, help="Mode of torch.compile.")
@click.option("--level", type=click.IntRange(0, 5), help="TensorRT's --optimization-level.")
@click.option("--skip", multiple=True, metavar="TEXT", help="Leave out contestants whose name contains this.")
@click.option("--torch-device", type=click.Choice(["cuda", "cpu"]), default="cuda", hidden=True)
def main(
    target: Path | None,
    bundles: Path | None,
    out: Path | None,
    sizes: str | None,
    batches: tuple[int, ...],
    mode: str,
    level: int | None,
    skip: tuple[str, ...],
    torch_device: str,
    **limits: Any,
) -> None:
    """Measure every bundle of a folder, or prepare one."""
    names = _names(sizes)
    if target is not None:
        failed = prepare(target, names)
        for line in failed:
            click.echo(f"FAILED: {line}", err=True)
        raise SystemExit(1 if failed else 0)
    if bundles is None or out is None:
        raise click.UsageError("give --prepare DIR, or --bundles DIR and --out FILE")
    document = Document(out, {"batches": list(batches), "compile": mode, "level": level, "skip": list(skip), **limits})
    found = [bundles / name for name in names if (bundles / name / MANIFEST).is_file()]
    if not found:
        raise click.UsageError(f"{bundles} holds none of {', '.join(names)}; write them with --prepare {bundles}")
    for path in found:
        race = Race(document, limits["runs"], limits["seconds"], limits["limit"])
        try:
            bundle = Bundle(path)
            able = list(entrants(bundle, batches, torch_device, mode, level))
        except StyleganEdgeError as error:
            document.add_bundle({"name": path.name, "error": str(error)})
            continue
        document.add_bundle(_describe(bundle))
        race.hold([item for item in able if not _left_out(item, skip)], bundle, batches)
    document.finish()


def _names(sizes: str | None) -> list[str]:
    names = list(NETWORKS) if sizes is None else sizes.split(",")
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise click.UsageError(f"--sizes {unknown[0]!r} is unknown, expected {', '.join(NETWORKS)}")
    return names


def _left_out(entrant: Entrant, skip: Sequence[str]) -> bool:
    name = f"{entrant.facts['contestant']} {entrant.facts['precision']}".lower()
    return any(text.lower() in name for text in skip)


def _describe(bundle: Bundle) -> dict[str, Any]:
    provenance, spec = bundle.manifest.provenance, bundle.spec
    return {
        "name": bundle.path.name,
        "checkpoint": provenance.checkpoint,
        "generation": spec.generation.value,
        "resolution": spec.resolution,
        "exported_with": dict(provenance.versions),
    }


class Document:
    """What is written: the machine, and a line for each contestant at each batch."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self._path = path
        self._content: dict[str, Any] = {
            "format": FORMAT,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "complete": False,
            "machine": machine(),
            "versions": versions(VERSIONS),
            "options": options,
            "bundles": [],
        }
        self.write()

    def add_bundle(self, facts: dict[str, Any]) -> None:
        """Begin a bundle."""
        click.echo(f"\n{facts['name']}: {facts.get('error', '')}")
        self._content["bundles"].append({**facts, "lines": []})
        self.write()

    def add_line(self, line: dict[str, Any]) -> None:
        """Add to the last bundle."""
        self._content["bundles"][-1]["lines"].append(line)
        click.echo(_shown(line))

    def finish(self) -> None:
        """Say that all was run."""
        self._content["complete"] = True
        self.write()

    def write(self) -> None:
        """Write what is known."""
        write_atomically(self._path, (json.dumps(self._content, indent=1) + "\n").encode(), overwrite=True)


class Race:
    """One bundle's contestants, in turns."""

    def __init__(self, document: Document, runs: int, seconds: float, limit: float) -> None:
        self._document = document
        self._runs, self._seconds, self._limit = runs, seconds, limit

    def hold(self, able: Sequence[Entrant], bundle: Bundle, batches: Sequence[int]) -> None:
        """Open all, run each batch, and close all."""
        ready = [entrant for entrant in able if self._open(entrant)]
        try:
            for batch in batches:
                self._run_batch(ready, Inputs.of(bundle, batch))
                self._document.write()
        finally:
            for entrant in able:
                with suppress(Exception):
                    entrant.close()

    def _open(self, entrant: Entrant) -> bool:
        try:
            with within(self._limit):
                entrant.open()
        except Exception as error:
            self._document.add_line({**entrant.facts, "error": told(error)})
            return False
        return True

    def _run_batch(self, ready: Sequence[Entrant], inputs: Inputs) -> None:
        entered: list[tuple[Contestant, dict[str, Any]]] = []
        for entrant in ready:
            try:
                contestants = list(entrant.enter(inputs))
            except Exception as error:
                self._document.add_line({**entrant.facts, "batch": inputs.batch, "error": told(error)})
                continue
            for contestant in contestants:
                line = {**contestant.facts, "batch": inputs.batch}
                if self._get_ready(contestant, inputs, line):
                    entered.append((contestant, line))
        times = self._take_turns([contestant for contestant, _ in entered], [line for _, line in entered])
        for (_, line), seconds in zip(entered, times):
            self._document.add_line(line | ({} if "error" in line else measured(seconds, inputs.batch)))

    def _get_ready(self, contestant: Contestant, inputs: Inputs, line: dict[str, Any]) -> bool:
        """Warm up and compare; the line gets the parity, or the document a line with the error."""
        start = time.perf_counter()
        try:
            with within(self._limit):
                for _ in range(WARM_UP):
                    contestant.run()
                figures = inputs.compare(*contestant.look())
                contestant.run()  # `look` may have drawn something else last
        except Exception as error:
            self._document.add_line({**line, "error": told(error)})
            return False
        line["ready_s"] = round(time.perf_counter() - start, 3)
        line["parity"] = {
            "against": "golden samples: the reference in float32, on the CPU",
            "levels_max": figures.levels_max,
            "levels_mean": figures.levels_mean,
            "psnr": figures.psnr,
            "max_abs": figures.max_abs,
            "finite": figures.finite,
        }
        return True

    def _take_turns(self, contestants: Sequence[Contestant], lines: Sequence[dict[str, Any]]) -> list[list[float]]:
        """Seconds of each run of each; a slow contestant sits out once its time is used up."""
        taken = take_turns([contestant.run for contestant in contestants], self._runs, self._seconds)
        for runs, line in zip(taken, lines):
            if runs.error is not None:
                line["error"] = told(runs.error)
        return [runs.wall for runs in taken]


def measured(seconds: Sequence[float], batch: int) -> dict[str, Any]:
    """The figures of a contestant's runs."""
    median = float(np.median(seconds))
    return {
        "warm_up": WARM_UP,
        "runs": len(seconds),
        "median_ms": 1e3 * median,
        "p95_ms": 1e3 * float(np.percentile(seconds, 95)),
        "fastest_ms": 1e3 * min(seconds),
        "images_per_s": batch / median,
    }


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises TimeoutError where the code inside takes longer, as soon as it is back in Python."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not ready within {seconds:g} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def machine() -> dict[str, Any]:
    """Where this is measured."""
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }
    try:
        facts["gpu"] = asdict(read_device())
    except BackendUnavailableError as error:
        facts["gpu"] = {"missing": str(error)}
    if shutil.which("nvidia-smi") is not None:
        command = ["nvidia-smi", f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader"]
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
            rows = [[cell.strip() for cell in row.split(",")] for row in done.stdout.strip().splitlines()]
            facts["nvidia_smi"] = [dict(zip(_SMI_FIELDS.split(","), row)) for row in rows]
    return facts


def _shown(line: dict[str, Any]) -> str:
    words = [line["contestant"], line["precision"]]
    words += [f"N={line['batch']}"] if "batch" in line else []
    words += [f"to {line['pixels']}"] if "pixels" in line else []
    if "cuda_graphs" in line:
        words.append(f"CUDA graphs {'on' if line['cuda_graphs'] else 'off'}")
    if "error" in line:
        return f"  {', '.join(words)}: {line['error']}"
    parity = line["parity"]
    psnr = "exact" if parity["psnr"] is None else f"{parity['psnr']:.1f} dB"
    speed = f"{line['median_ms']:.3f} ms, p95 {line['p95_ms']:.3f} ms, {line['images_per_s']:.1f} images/s"
    return f"  {', '.join(words)}: {speed} ({parity['levels_max']} levels at most, {psnr})"


if __name__ == "__main__":
    main()
