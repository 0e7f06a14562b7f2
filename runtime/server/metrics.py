"""What `/metrics` tells, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from runtime.server.models import Models
    from runtime.server.worker import Worker

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
"""Bounds of latency: from a 64 px image on a GPU to the longest that a request may take."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Bounds of batch sizes."""

__all__ = ["CONTENT_TYPE", "Metrics"]


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.images = Counter("stylegan_edge_images", "Images answered.", ["model"], registry=self.registry)
        self.requests = Counter(
            "stylegan_edge_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.errors = Counter("stylegan_edge_errors", "Errors answered, by class.", ["error"], registry=self.registry)
        self.failed_reloads = Counter(
            "stylegan_edge_failed_reloads", "Replaced bundles that can't be served.", ["model"], registry=self.registry
        )
        self.latency = Histogram(
            "stylegan_edge_latency_seconds",
            "Seconds by stage: queue, draw (of a batch), encode, and request from first byte to last.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "stylegan_edge_batch_size", "Items drawn together.", ["device"], buckets=SIZES, registry=self.registry
        )

    def watch(self, workers: Callable[[], Iterable[Worker]], models: Models) -> None:
        """Tell depths of queues and memory of devices too, as they are when somebody asks."""
        self.registry.register(_State(workers, models))

    def batch_done(self, worker: str, size: int, waited: Sequence[float], seconds: float) -> None:
        """What a worker tells of a batch."""
        self.batch_size.labels(worker).observe(size)
        self.latency.labels("draw").observe(seconds)
        for wait in waited:
            self.latency.labels("queue").observe(wait)

    def failed(self, error: Exception) -> None:
        """A request was answered by an error."""
        self.errors.labels(type(error).__name__).inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)


class _State(Collector):
    """Figures that are read rather than counted."""

    def __init__(self, workers: Callable[[], Iterable[Worker]], models: Models) -> None:
        self._workers, self._models = workers, models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Queue depth a device, GPU memory a model."""
        depth = GaugeMetricFamily("stylegan_edge_queue_depth", "Items that wait.", labels=["device"])
        for worker in self._workers():
            depth.add_metric([worker.name], worker.depth)
        yield depth
        memory = GaugeMetricFamily(
            "stylegan_edge_device_memory_bytes", "GPU memory that a model's synthesis holds.", labels=["model", "kind"]
        )
        for name in self._models.names:
            with self._models.use(name) as model:
                used = model.generator.memory()
            for kind in ("weights", "activations", "buffers") if used is not None else ():
                memory.add_metric([name, kind], getattr(used, kind))
        yield memory
