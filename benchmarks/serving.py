"""What serving costs, beside the same generator in this process. Each figure of docs/serving.md is printed by one run.

python -m benchmarks.serving overhead BUNDLE
python -m benchmarks.serving throughput BUNDLE
python -m benchmarks.serving soak BUNDLE
python -m benchmarks.serving startup BUNDLE
python -m benchmarks.serving page BUNDLE
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import numpy as np

from runtime import Bundle, Generator
from runtime.parity.comparison import Comparison
from runtime.server.encoding import encode

PSI = 0.7
WARM_UP = 20
"""Calls of each contestant before any is timed."""
ROUND_SECONDS = 30.0
"""Of one turn of a contestant: ten batches or more of 256 px images."""


@dataclass(frozen=True)
class Answer:
    """A response: its status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection that is kept, without an HTTP library: on two cores, what it costs is in every figure."""

    def __init__(self, url: str) -> None:
        self._host, port = url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((self._host, int(port)), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> Answer:
        """GET a path."""
        return self._ask(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def generate(self, accept: str, **parameters: Any) -> Answer:
        """POST /v1/generate."""
        body = json.dumps(parameters)
        return self._ask(
            f"POST /v1/generate HTTP/1.1\r\nHost: {self._host}\r\nAccept: {accept}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def _ask(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        head = received[:end].decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:])
        while len(received) < end + 4 + int(headers["content-length"]):
            received += self._receive()
        return Answer(int(head[0].split()[1]), headers, bytes(received[end + 4 :]))

    def _receive(self) -> bytes:
        part = self._socket.recv(1 << 20)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part


@contextmanager
def serving(bundle: Path, *options: str) -> Iterator[tuple[str, float]]:
    """A server's address, and the seconds from its start until it was ready."""
    command = [sys.executable, "-m", "stylegan_edge", "serve", str(bundle), "--port", "0", *options]
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r"at (http://\S+)", process.stdout.readline())
            if found is None:
                log.seek(0)
                raise click.ClickException(f"the server did not start: {log.read().decode()[-500:]}")
            assert Connection(found[1]).get("/readyz").status == 200
            yield found[1], time.perf_counter() - start
        finally:
            process.terminate()
            process.wait()


@click.group()
def main() -> None:
    """What serving costs."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    versions = ", ".join(f"{name} {version(name)}" for name in ("starlette", "uvicorn", "onnxruntime", "numpy"))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    click.echo(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}; load {load}"
    )


BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))


@main.command()
@BUNDLE
@click.option("--runs", type=int, default=400, show_default=True)
def overhead(bundle: Path, runs: int) -> None:
    """One image at a time, in turns: drawn in this process, and asked of a server in another."""
    generator = Generator.load(bundle)
    with serving(bundle) as (url, _):
        connection = Connection(url)

        def here(form: str) -> bytes:
            return encode(generator.generate([seed], psi=PSI)[0], form, 90)

        def asked(accept: str) -> bytes:
            return connection.generate(accept, seed=seed, psi=PSI).body

        contestants: dict[str, Callable[[], bytes]] = {
            "in process, raw": lambda: here("raw"),
            "served, raw": lambda: asked("application/octet-stream"),
            "in process, PNG": lambda: here("png"),
            "served, PNG": lambda: asked("image/png"),
            "served, /healthz": lambda: connection.get("/healthz").body,
        }
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for seed in range(runs + WARM_UP):
            made = {}
            for name, contestant in contestants.items():
                start = time.perf_counter()
                made[name] = contestant()
                if seed >= WARM_UP:
                    times[name].append((time.perf_counter() - start) * 1000)
            if made["in process, raw"] != made["served, raw"] or made["in process, PNG"] != made["served, PNG"]:
                raise click.ClickException(f"seed {seed}: the served image is another one")
    for name, values in times.items():
        quarters = quantiles(values, n=4)
        click.echo(f"{name:18} median {quarters[1]:7.2f} ms, quartiles {quarters[0]:.2f} to {quarters[2]:.2f}")
    for form in ("raw", "PNG"):
        pairs = zip(times[f"served, {form}"], times[f"in process, {form}"])
        added = median(times[f"served, {form}"]) - median(times[f"in process, {form}"])
        click.echo(
            f"overhead, {form}: {added:.2f} ms of the medians, {median(a - b for a, b in pairs):.2f} ms median of "
            f"differences; {runs} seeds, every image the same"
        )


@dataclass
class Load:
    """Clients that ask as fast as they are answered."""

    url: str
    clients: int
    accept: str
    seeds: Sequence[int]
    check: Callable[[int, Answer], str | None]
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> float:
        """Images a second."""
        lock = threading.Lock()
        end = time.perf_counter() + seconds

        def ask(number: int) -> None:
            connection = Connection(self.url)
            turn = number
            while time.perf_counter() < end:
                seed = self.seeds[turn % len(self.seeds)]
                turn += self.clients
                start = time.perf_counter()
                try:
                    answer = connection.generate(self.accept, seed=seed, psi=PSI)
                    fault = self.check(seed, answer)
                except OSError as error:
                    fault = f"{type(error).__name__}: {error}"
                with lock:
                    self.milliseconds.append((time.perf_counter() - start) * 1000)
                    self.answered += fault is None
                    if fault is not None:
                        self.wrong.append(f"seed {seed}: {fault}")

        start = time.perf_counter()
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.answered / (time.perf_counter() - start)


@main.command()
@BUNDLE
@click.option("--clients", type=int, default=16, show_default=True)
@click.option("--rounds", type=int, default=5, show_default=True)
@click.option("--max-batch", type=int, default=None)
def throughput(bundle: Path, clients: int, rounds: int, max_batch: int | None) -> None:
    """The backend's own batched rate, and that of a server with many clients, in turns."""
    generator = Generator.load(bundle)
    batch = generator.batch_size(max_batch)
    options = ["--max-batch", str(max_batch)] if max_batch else []
    rates: dict[str, list[float]] = {"in process": [], "served, raw": [], "served, PNG": []}
    with serving(bundle, *options) as (url, _):
        for _ in range(rounds):
            rates["in process"].append(_own_rate(generator, batch))
            for name, accept in (("served, raw", "application/octet-stream"), ("served, PNG", "image/png")):
                load = Load(url, clients, accept, range(1000), _is_answered)
                rates[name].append(load.run(ROUND_SECONDS))
                if load.wrong:
                    raise click.ClickException(load.wrong[0])
        sizes = _batch_sizes(Connection(url).get("/metrics").body.decode())
    own = rates["in process"]
    click.echo(f"{generator.spec.resolution} px, batches of up to {batch}, {clients} clients, {rounds} rounds")
    for name, values in rates.items():
        ratios = [value / reference for value, reference in zip(values, own)]
        click.echo(
            f"{name:12} median {median(values):7.2f} images/s ({min(values):.2f} to {max(values):.2f}), "
            f"{median(ratios):.2f} of in process ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    click.echo(f"mean batch of the server: {sizes:.1f}")


def _own_rate(generator: Generator, batch: int) -> float:
    """Images a second of full batches, mapping included, drawn as pixels."""
    generator.generate(range(batch), psi=PSI, batch=batch)
    drawn, start = 0, time.perf_counter()
    while time.perf_counter() - start < ROUND_SECONDS:
        generator.generate(range(drawn, drawn + batch), psi=PSI, batch=batch)
        drawn += batch
    return drawn / (time.perf_counter() - start)


def _batch_sizes(figures: str) -> float:
    found = [
        re.search(rf"^stylegan_edge_batch_size_{name}{{.*}} (\S+)$", figures, re.MULTILINE) for name in ("sum", "count")
    ]
    total, count = (float(item[1]) if item else 0.0 for item in found)
    return total / max(count, 1.0)


def _is_answered(_: int, answer: Answer) -> str | None:
    return None if answer.status == 200 else f"{answer.status} {answer.body[:100]!r}"


@main.command()
@BUNDLE
@click.option("--clients", type=int, default=64, show_default=True)
@click.option("--seconds", type=float, default=60.0, show_default=True)
@click.option("--seeds", type=int, default=256, show_default=True)
def soak(bundle: Path, clients: int, seconds: float, seeds: int) -> None:
    """Many clients for a while, each image held against that of its seed, drawn alone in this process."""
    generator = Generator.load(bundle)
    expected = {seed: generator.generate([seed], psi=PSI)[0] for seed in range(seeds)}
    lock = threading.Lock()
    exact = 0

    def check(seed: int, answer: Answer) -> str | None:
        nonlocal exact
        fault = _is_answered(seed, answer)
        if fault is not None:
            return fault
        image = np.frombuffer(answer.body, np.uint8).reshape(expected[seed].shape)
        if np.array_equal(image, expected[seed]):
            with lock:
                exact += 1
            return None
        comparison = Comparison("synthesis", "this process", 1)
        comparison.add_pixels(expected[seed][None], image[None])
        return "; ".join(comparison.figures().failures()) or None

    with serving(bundle) as (url, _):
        load = Load(url, clients, "application/octet-stream", range(seeds), check)
        rate = load.run(seconds)
    told = sorted(load.milliseconds)
    click.echo(
        f"{clients} clients, {seconds:g} s: {load.answered} images right ({exact} of them to the last bit, the others "
        f"within the tolerance of parity), {len(load.wrong)} wrong or failed; {rate:.0f} images/s, latency median "
        f"{median(told):.0f} ms, 99 % {told[int(len(told) * 0.99)]:.0f} ms"
    )
    for fault in load.wrong[:5]:
        click.echo(fault)
    if load.wrong:
        raise SystemExit(1)


_LOAD = """
import sys, time
start = time.perf_counter()
from runtime import Generator
imported = time.perf_counter()
generator = Generator.load(sys.argv[1])
generator.generate([0])
print(imported - start, time.perf_counter() - imported)
"""


@main.command()
@BUNDLE
@click.option("--runs", type=int, default=7, show_default=True)
def startup(bundle: Path, runs: int) -> None:
    """From the command to the first 200 of /readyz, and what opening the bundle and one image take by themselves."""
    Bundle(bundle)
    starts, loads = [], []
    for _ in range(runs):
        with serving(bundle) as (_, seconds):
            starts.append(seconds)
        result = subprocess.run([sys.executable, "-c", _LOAD, str(bundle)], check=True, capture_output=True, text=True)
        loads.append(float(result.stdout.split()[1]))
    beside = [start - load for start, load in zip(starts, loads)]
    click.echo(
        f"start to ready: median {median(starts):.2f} s ({min(starts):.2f} to {max(starts):.2f}); model load "
        f"{median(loads):.2f} s; beside it {median(beside):.2f} s ({min(beside):.2f} to {max(beside):.2f}); {runs} runs"
    )


@main.command()
@BUNDLE
@click.option("--seconds", type=int, default=30, show_default=True)
def page(bundle: Path, seconds: int) -> None:
    """Frames a second of the page's random walk in headless Chromium, as the page itself counts them."""
    from playwright.sync_api import sync_playwright

    with serving(bundle) as (url, _), sync_playwright() as playwright:
        options = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)  # type: ignore[arg-type]
        shown = browser.new_page(viewport={"width": 1200, "height": 900})
        start = time.perf_counter()
        shown.goto(url)
        shown.locator("#picture[aria-label^='Seed']").wait_for()
        first = time.perf_counter() - start
        width = shown.locator("#picture").bounding_box()
        shown.locator("#play").click()
        time.sleep(3)
        rates = []
        for _ in range(seconds):
            time.sleep(1)
            rates.append(float((shown.locator("#fps").text_content() or "0").split()[0]))
        browser.close()
    click.echo(
        f"page to first image {first:.2f} s; walk shown at {width['width'] if width else 0:.0f} px: median "
        f"{median(rates):.0f} frames/s ({min(rates):.0f} to {max(rates):.0f}) of {len(rates)} readings a second apart"
    )


if __name__ == "__main__":
    main()
