"""What has been answered, as Triton's statistics tell it."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.server.inference.interface import VERSION
from runtime.server.worker import Result

STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_NS = 1_000_000_000


@dataclass
class Duration:
    """How often something happened, and how long that took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.seconds += seconds

    def plain(self) -> dict[str, int]:
        """As the protocol tells it."""
        return {"count": self.count, "ns": round(self.seconds * _NS)}


@dataclass
class _Counters:
    stages: dict[str, Duration] = field(default_factory=lambda: {name: Duration() for name in STAGES})
    images: int = 0
    last: int = 0
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    """By size: the images that were computed in such batches, and their share of the time."""

    def plain(self, name: str) -> dict[str, Any]:
        none = Duration().plain()
        # Of batches that were shared with other models' requests, our part: their number is rounded up.
        runs = {size: math.ceil(share.count / size) for size, share in sorted(self.batches.items())}
        return {
            "name": name,
            "version": VERSION,
            "last_inference": self.last,
            "inference_count": self.images,
            "execution_count": sum(runs.values()),
            "inference_stats": {
                **{stage: duration.plain() for stage, duration in self.stages.items()},
                "cache_hit": none,
                "cache_miss": none,
            },
            "batch_stats": [
                {
                    "batch_size": size,
                    "compute_input": none,
                    "compute_infer": {**self.batches[size].plain(), "count": count},
                    "compute_output": none,
                }
                for size, count in runs.items()
            ],
        }


class Statistics:
    """Counts by model, since the server started. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, _Counters] = defaultdict(_Counters)

    def succeeded(self, name: str, results: Sequence[Result], seconds: float, reading: float, writing: float) -> None:
        """A request was answered in `seconds`, of which it was read for `reading` and written for `writing`.

        It waited as long as the last of its images, and was computed as long as all its batches.
        """
        with self._lock:
            counters = self._models[name]
            counters.images += len(results)
            counters.last = round(time.time() * 1000)
            for stage, spent in (
                ("success", seconds),
                ("queue", max(result.waited for result in results)),
                ("compute_input", reading),
                ("compute_infer", sum({result.seconds for result in results})),
                ("compute_output", writing),
            ):
                counters.stages[stage].add(spent)
            for result in results:
                counters.batches[result.batch].add(result.seconds / result.batch)

    def failed(self, name: str, seconds: float) -> None:
        """A request was refused, or failed, after `seconds`."""
        with self._lock:
            self._models[name].stages["fail"].add(seconds)

    def plain(self, name: str) -> dict[str, Any]:
        """Those of a model."""
        with self._lock:
            return (self._models[name] if name in self._models else _Counters()).plain(name)
