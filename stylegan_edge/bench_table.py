"""A benchmark's outcome on the terminal."""

from __future__ import annotations

import click

from runtime.bench.limits import COPY_BYTES, SIDE
from runtime.bench.memory import RUNS, Memory
from runtime.bench.results import Line, Outcome, Standing
from runtime.bench.turns import ENOUGH_FOR_P95, ENOUGH_FOR_P99, WARM_UP
from runtime.errors import quoted
from stylegan_edge.display import print_table

MIB = 1 << 20
COLUMNS = ["contestant", "N", "median ms", "quartiles ms", "p95", "p99", "images/s", "times", "cores", "of limit"]


def print_outcome(outcome: Outcome) -> None:
    """Where it was measured, a line a contestant, memory, and who has no figures and why."""
    for fact in facts(outcome):
        click.echo(fact)
    click.echo()
    columns = [*COLUMNS, "watts"] if has_power(outcome) else COLUMNS
    print_table("In turns: one run each a turn", columns, [cells(outcome, line) for line in outcome.measured])
    if outcome.memory:
        rows = [[name, *memory_cells(memory)] for name, memory in outcome.memory.items()]
        print_table(memory_title(outcome), MEMORY_COLUMNS, rows)
    for line in outcome.lines:
        if line.standing is not Standing.MEASURED:
            click.echo(no_figures(line))
    for note in notes(outcome):
        click.echo(note)


def facts(outcome: Outcome) -> list[str]:
    """What was measured, and where."""
    machine, work = outcome.machine, outcome.work
    packages = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [
        f"{outcome.bundle}: {outcome.generation}, {outcome.resolution} px, of {quoted(outcome.checkpoint)}",
        f"Machine: {machine.processor}, {machine.cores} cores, {outcome.threads} threads; Python {machine.python}, "
        f"{packages}",
    ]
    if machine.gpu is not None:
        lines.append(f"GPU: {machine.gpu.name}, compute capability {machine.gpu.compute_capability}")
    lines.append(
        f"An image: {work.gmac:.4g} GMAC, {work.image_bytes / 1e6:.4g} MB moved; "
        f"a batch: {work.weight_bytes / 1e6:.4g} MB of weights"
    )
    if outcome.limits is not None:
        lines.append(
            f"Limit: {outcome.limits.gmac_per_s:.4g} GMAC/s ({SIDE} x {SIDE} float32 product, "
            f"{outcome.limits.cores:.2f} cores), "
            f"{outcome.limits.gbyte_per_s:.3g} GB/s (copy of {COPY_BYTES >> 20} MiB), measured before and after"
        )
    return lines


def has_power(outcome: Outcome) -> bool:
    """Whether any contestant's power is known."""
    return any(line.power_w is not None for line in outcome.lines)


def cells(outcome: Outcome, line: Line) -> list[str]:
    """A contestant's figures, as `COLUMNS`."""
    timing, load = line.timing, line.load
    assert timing is not None
    low, high = timing.quartiles_ms
    row = [
        line.name,
        str(line.batch),
        milliseconds(timing.median_ms),
        f"{milliseconds(low)} - {milliseconds(high)}",
        "-" if timing.p95_ms is None else milliseconds(timing.p95_ms),
        "-" if timing.p99_ms is None else milliseconds(timing.p99_ms),
        f"{timing.images_per_s:.4g}",
        "-" if timing.times_baseline is None else f"{timing.times_baseline:.2f}",
        f"{timing.cores:.2f}",
        "-" if load is None or load.share_of_attainable is None else f"{100 * load.share_of_attainable:.0f} %",
    ]
    return [*row, "-" if line.power_w is None else f"{line.power_w:.0f}"] if has_power(outcome) else row


def milliseconds(value: float) -> str:
    """Three digits or more."""
    return f"{value:.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")


MEMORY_COLUMNS = ["contestant", "host, peak MiB", "GPU, MiB", "graph on the GPU, MiB"]


def memory_title(outcome: Outcome) -> str:
    """How it was measured."""
    batch = max((memory.batch for memory in outcome.memory.values()), default=1)
    return f"Memory: each in a process of its own, from its start over {RUNS} batches of {batch}"


def memory_cells(memory: Memory) -> list[str]:
    """The figures, as `MEMORY_COLUMNS`."""
    graph = memory.graph
    held = None if graph is None else graph.weights + graph.activations + graph.buffers
    return ["-" if item is None else f"{item / MIB:.0f}" for item in (memory.host_peak, memory.device, held)]


def no_figures(line: Line) -> str:
    """Who has none, and why."""
    batch = "" if line.batch is None else f", batch {line.batch}"
    word = "FAILED PARITY" if line.standing is Standing.FAILED_PARITY else "left out"
    return f"{line.name}{batch}: {word}: {line.reason}"


def notes(outcome: Outcome) -> list[str]:
    """What the figures mean, and why some are not there."""
    lines = [
        "Each first drew the golden images that it was timed with, within the tolerances; "
        f"{WARM_UP} turns warm up and are not counted.",
        "cores: processor time of the runs by the clock's, so how many cores were really at work.",
    ]
    timings = [line.timing for line in outcome.measured if line.timing is not None]
    if any(timing.p99_ms is None for timing in timings):
        lines.append(f"p95 needs {ENOUGH_FOR_P95} runs, p99 {ENOUGH_FOR_P99}; the fewest here are "
                     f"{min(timing.runs for timing in timings)}.")  # fmt: skip
    if outcome.baseline is not None:
        lines.append(f"times: as fast as {outcome.baseline}, median of the ratios within a turn.")
    if outcome.limits is not None:
        lines.append("of limit: of what the machine allows work of so many multiply-accumulates a byte (roofline).")
    lines += [f"No {what}: {why}" for what, why in outcome.missing.items()]
    lines += [f"No memory of {name}: {memory.missing}" for name, memory in outcome.memory.items() if memory.missing]
    return lines
