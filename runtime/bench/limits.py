"""What the machine's cores can do at most: products of large float32 matrices, and copies of large arrays.

Run as a module, in a process of its own: a BLAS reads its number of threads when it is loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter, process_time

import numpy as np

from runtime.bench.child import run_child

SIDE = 2048
"""Of the matrices: large enough that a BLAS reaches its best rate."""
COPY_BYTES = 256 << 20
"""Of the array that is copied: more than the caches of nearly every machine."""
SECONDS = 1.0
"""How long each is repeated."""
LEAST = 3
"""Repetitions, however slow."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                     "VECLIB_MAXIMUM_THREADS")  # fmt: skip
"""By which the libraries that NumPy may be built with are told."""


@dataclass(frozen=True)
class Limits:
    """The best of many repetitions, before the contestants ran or after, in 10^9 a second.

    `gmac_per_s` are multiply-accumulates; `gbyte_per_s` are bytes, of which each copied one is two: read and written.
    `cores` is the processor time of the fastest product by the clock's: with fewer than `threads`, others had the
    machine, and the limit is higher than this.
    """

    threads: int
    gmac_per_s: float
    gbyte_per_s: float
    cores: float

    def attainable(self, mac_per_byte: float) -> float:
        """The roofline: GMAC a second of work that has so many multiply-accumulates for each byte it moves."""
        return min(self.gmac_per_s, self.gbyte_per_s * mac_per_byte)

    def or_better(self, other: Limits) -> Limits:
        """The higher figure of each."""
        product = max(self, other, key=lambda item: item.gmac_per_s)
        return replace(product, gbyte_per_s=max(self.gbyte_per_s, other.gbyte_per_s))


def measure_limits(threads: int) -> Limits:
    """Measure in a process of its own. Raises BackendUnavailableError where that fails, as for want of memory."""
    environment = {name: str(threads) for name in _THREAD_VARIABLES}
    found = run_child("runtime.bench.limits", {"threads": threads}, environment)
    return Limits(threads, float(found["gmac_per_s"]), float(found["gbyte_per_s"]), float(found["cores"]))


def _rates(threads: int) -> dict[str, float]:
    seconds, cores = _best(_product())
    copy_seconds, _ = _best(_copy(threads))
    return {
        "gmac_per_s": SIDE**3 / 1e9 / seconds,
        "gbyte_per_s": 2 * COPY_BYTES / 1e9 / copy_seconds,
        "cores": cores,
    }


def _product() -> Callable[[], object]:
    one = np.random.RandomState(0).rand(SIDE, SIDE).astype(np.float32)
    other, product = one.T.copy(), np.empty_like(one)
    return lambda: np.matmul(one, other, out=product)


def _copy(threads: int) -> Callable[[], object]:
    source = np.ones(COPY_BYTES // 4, np.float32)
    target = np.ones_like(source)  # its pages exist before they are timed
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))
    pool = ThreadPoolExecutor(threads)  # NumPy copies without Python's lock
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def _best(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds and cores of the fastest of many calls; the first is not counted."""
    call()
    times: list[tuple[float, float]] = []
    while len(times) < LEAST or sum(wall for wall, _ in times) < SECONDS:
        wall, cpu = perf_counter(), process_time()
        call()
        wall, cpu = perf_counter() - wall, process_time() - cpu
        times.append((wall, cpu))
    wall, cpu = min(times)
    return wall, cpu / wall


def main() -> None:
    """The entry of the process."""
    arguments = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(_rates(arguments["threads"])) + "\n")


if __name__ == "__main__":
    main()
