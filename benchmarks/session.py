"""What a session saves: whole synthesis against the tail alone, in turns, for images that share their first style rows.

python -m benchmarks.session --resolution 1024 --split 8
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

from benchmarks.official_sizes import Network, official_spec
from runtime import Generator

FINE = 8
"""Style rows that are held still unless told otherwise: those up to 64 px of a StyleGAN2, pose and shape of a face."""
WARM_UP = 2
"""Images of each contestant that are drawn before any is timed; on a GPU the second is recorded."""


def default_split(resolution: int, network: Network) -> int:
    """`FINE`, or what leaves a small network two rows to move."""
    return min(FINE, official_spec(network, resolution).num_ws - 2)


def measure(generator: Generator, split: int, batch: int, runs: int) -> tuple[dict[str, list[float]], int]:
    """Seconds of each run by contestant, in turns, and the largest difference of their images in 8-bit levels.

    Of every image, the rows from `split` on are new. The session's own cost, its head, is "begin a session".
    """
    spec, random = generator.spec, np.random.RandomState(0)
    fixed = random.randn(1, spec.num_ws, spec.w_dim).astype(np.float32)
    names = ("synthesize", "session.synthesize", "begin a session")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    worst = 0
    with generator.session(fixed) as session:
        for index in range(WARM_UP + runs):
            ws = random.randn(batch, spec.num_ws, spec.w_dim).astype(np.float32)
            ws[:, :split] = fixed[:, :split]
            turns: tuple[Callable[[], Any], ...] = (
                partial(generator.synthesize, ws, output="pixels", batch=batch),
                partial(session.synthesize, ws, "pixels", batch),
                partial(generator.session, fixed),
            )
            made = {}
            for name, turn in list(zip(names, turns))[:: 1 if index % 2 else -1]:
                start = perf_counter()
                made[name] = turn()
                if index >= WARM_UP:
                    seconds[name].append(perf_counter() - start)
            made["begin a session"].close()
            difference = made["synthesize"].astype(int) - made["session.synthesize"]
            worst = max(worst, int(np.abs(difference).max()))
    return seconds, worst


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, in milliseconds."""
    low, middle, high = (float(value) * 1000 for value in np.percentile(seconds, (25, 50, 75)))
    return {"median_ms": middle, "lower_quartile_ms": low, "upper_quartile_ms": high}


def _export(network: Network, resolution: int, split: int, precision: str, path: Path) -> None:
    from benchmarks.random_checkpoint import random_checkpoint
    from exporter import export

    export(random_checkpoint(resolution, network), path, tuple(dict.fromkeys(("fp32", precision))), split=split)


@click.command()
@click.option("--network", type=click.Choice([item.value for item in Network]), default=Network.STYLEGAN2.value)
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("--split", type=click.IntRange(min=1), help=f"Rows held still [default: {FINE}, or two fewer than all].")
@click.option("--batch", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--backend", default="onnxruntime", show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads [default: all cores].")
@click.option("--runs", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def main(
    network: str,
    resolution: str,
    split: int | None,
    batch: int,
    backend: str,
    precision: str,
    threads: int | None,
    runs: int,
    as_json: bool,
) -> None:
    """Print median and quartiles of a call, whole and in a session, and what the session saves."""
    chosen, side = Network(network), int(resolution)
    rows = default_split(side, chosen) if split is None else split
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle"
        _export(chosen, side, rows, precision, path)
        with Generator.load(path, backend, precision, threads) as generator:
            seconds, worst = measure(generator, rows, batch, runs)
            count = generator.spec.num_ws
    figures = {name: summary(values) for name, values in seconds.items()}
    ratio = figures["synthesize"]["median_ms"] / figures["session.synthesize"]["median_ms"]
    facts = {"network": network, "resolution": side, "split": rows, "rows": count, "batch": batch, "runs": runs}
    if as_json:
        ran = {"backend": backend, "precision": precision, "threads": threads}
        print(json.dumps({**facts, **ran, "figures": figures, "speedup": ratio, "levels_max": worst}, indent=1))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    for name, item in figures.items():
        spread = f"{item['lower_quartile_ms']:.2f} - {item['upper_quartile_ms']:.2f}"
        print(f"{name:<20} {item['median_ms']:9.2f} ms   {spread}")
    print(f"a session's image takes 1/{ratio:.2f} of the time; the images differ by at most {worst} of 255 levels")


if __name__ == "__main__":
    main()
