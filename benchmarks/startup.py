"""What a device pays for its first image: imports, loading, the image itself, and memory; each run a fresh process.

python -m benchmarks.startup --network stylegan2 --resolution 1024
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.official_sizes import Network

PROBE = """
import json, sys, time
seconds = {}
start = time.perf_counter()
def lap(name):
    global start
    seconds[name] = time.perf_counter() - start
    start = time.perf_counter()
import numpy
lap("import numpy")
import runtime
from runtime import Bundle, Generator
lap("import runtime")
bundle = Bundle(sys.argv[1])
lap("check the bundle")
generator = Generator.load(bundle, backend=sys.argv[2])
lap("open the graphs")
for name in ("first image", "second image"):
    generator.generate([0])
    lap(name)
status = open("/proc/self/status").read().split("VmHWM:")[1]
print(json.dumps({"seconds": seconds, "peak_mb": int(status.split()[0]) * 1024 / 1e6}))
"""
"""Run by itself. The second image is what computing takes; the first has the rest of loading in it. Linux counts the
peak of this process alone: `resource.getrusage` starts from that of the process that started it."""


def probe(bundle: Path, backend: str) -> dict[str, float]:
    """Seconds of each step in a fresh process, and its peak resident memory in MB."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE, str(bundle), backend],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    found = json.loads(result.stdout.splitlines()[-1])
    seconds: dict[str, float] = found["seconds"]
    waited = sum(seconds[name] for name in ("check the bundle", "open the graphs", "first image"))
    return {
        **seconds,
        "load to first image": waited,
        "the same, without computing": waited - seconds["second image"],
        "peak MB": found["peak_mb"],
    }


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median, least and largest of each figure."""
    return {
        name: {"median": median(row[name] for row in rows), "least": min(row[name] for row in rows)}
        | {"most": max(row[name] for row in rows)}
        for name in rows[0]
    }


def _export(network: str, resolution: int, folder: Path) -> Path:
    from benchmarks.random_checkpoint import random_checkpoint
    from exporter import export

    path = folder / "bundle"
    export(random_checkpoint(resolution, Network(network)), path)
    return path


@click.command()
@click.option("--network", type=click.Choice([item.value for item in Network]), default=Network.STYLEGAN2.value)
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("--bundle", type=click.Path(path_type=Path), help="Measure with this bundle instead of random weights.")
@click.option("--backend", default="onnxruntime", show_default=True)
@click.option("--runs", type=click.IntRange(1, 100), default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def main(network: str, resolution: str, bundle: Path | None, backend: str, runs: int, as_json: bool) -> None:
    """Print the median, the least and the largest of each figure."""
    with tempfile.TemporaryDirectory() as folder:
        path = _export(network, int(resolution), Path(folder)) if bundle is None else bundle
        rows = [probe(path, backend) for _ in range(runs)]
    figures = summary(rows)
    if as_json:
        what = {"network": network, "resolution": int(resolution)} if bundle is None else {"bundle": str(bundle)}
        print(json.dumps({**what, "backend": backend, "runs": runs, "figures": figures}, indent=1))
        return
    for name, item in figures.items():
        digits = 0 if name == "peak MB" else 3
        print(f"{name:<28} {item['median']:9.{digits}f}   {item['least']:.{digits}f} - {item['most']:.{digits}f}")


if __name__ == "__main__":
    main()
