"""What all of a server's interfaces share: models, a worker a device, limits, figures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.server.errors import ClientClosedError, TimedOutError
from runtime.server.metrics import Metrics
from runtime.server.models import Model, Models
from runtime.server.settings import Settings
from runtime.server.tracing import Tracing
from runtime.server.worker import Kind, Result, Worker

WATCH_AFTER = 0.02
"""Seconds after which it is noticed that a client leaves: before that its images are drawn all the same."""
Receive = Callable[[], Awaitable[Any]]
"""ASGI's `receive`: once a request's body is read, it returns when the client has left."""


class Service:
    """Draws for every interface. `load` makes one; `close` ends it.

    `others` are interfaces beside HTTP that are ending: the application closes the service after them.
    """

    def __init__(self, settings: Settings, models: Models, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self.settings, self.models, self.metrics, self.tracing = settings, models, metrics, tracing
        self.draining = False
        self.others: list[asyncio.Task[None]] = []
        self._workers: dict[str, Worker] = {}
        for device in models.devices:
            self.worker(device)
        metrics.watch(lambda: list(self._workers.values()), models)

    @classmethod
    def load(cls, settings: Settings) -> Service:
        """Load all models. Raises what `Models` raises."""
        metrics = Metrics()
        tracing = Tracing(settings.trace_share, settings.trace_endpoint) if settings.trace_share else None
        models = Models(settings.sources, lambda name: metrics.failed_reloads.labels(name).inc())
        return cls(settings, models, metrics, tracing)

    def worker(self, device: str) -> Worker:
        """The worker of a device, started where it is the first time."""
        if device not in self._workers:
            limit, wait = self.settings.limits.max_queue, self.settings.max_wait
            self._workers[device] = Worker(device, limit, wait, self.metrics)
        return self._workers[device]

    @property
    def trouble(self) -> str | None:
        """Why nobody should ask this server now; None where it is ready."""
        if self.draining:
            return "the server is closing"
        lost = [worker.name for worker in self._workers.values() if not worker.healthy]
        return f"drawing on {', '.join(lost)} fails" if lost else None

    async def run(
        self,
        model: Model,
        kind: Kind,
        items: Sequence[Any],
        receive: Receive | None = None,
        since: float | None = None,
        limit: float | None = None,
    ) -> list[Result]:
        """Queue items of a kind of a model, which the caller holds, and wait for all.

        `receive` notices a client that leaves, whose items are then taken out of the queue; `since` is when its request
        began, in `time.perf_counter`'s seconds; `limit` is the seconds that it may take where it says so itself, up to
        the server's own.

        Raises QueueFullError, DrainingError, TimedOutError, ClientClosedError, and what drawing raises.
        """
        own = self.settings.limits.request_seconds
        limit = own if limit is None else min(limit, own)
        deadline = (time.perf_counter() if since is None else since) + limit
        futures = self.worker(model.device).submit(kind, items)
        self.models.keep(model, futures)
        drawn = [asyncio.wrap_future(future) for future in futures]
        try:
            # Most answers are there before it is worth a task to notice that a client leaves.
            _, waiting = await asyncio.wait(drawn, timeout=min(WATCH_AFTER, limit))
            if waiting:
                await self._wait(waiting, receive, deadline, limit)
            _raise_first(drawn)
        finally:
            for future in drawn:
                future.cancel()  # what is done stays done
        results = [future.result() for future in drawn]
        if self.tracing is not None:
            self.tracing.drawn(results, time.time_ns())
        return results

    async def _wait(
        self, drawn: set[asyncio.Future[Result]], receive: Receive | None, deadline: float, limit: float
    ) -> None:
        """Wait until all are drawn or have failed. Raises TimedOutError and ClientClosedError."""
        leaving = asyncio.ensure_future(until_left(receive)) if receive is not None else None
        together = asyncio.gather(*drawn, return_exceptions=True)
        both: set[asyncio.Future[Any]] = {together} if leaving is None else {together, leaving}
        try:
            left = max(0.0, deadline - time.perf_counter())
            await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if together.done():
                return
            if leaving is not None and leaving.done():
                raise ClientClosedError("the client has left before its images were drawn")
            raise TimedOutError(f"the images were not drawn within {limit:g} s; ask for fewer, or again later")
        finally:
            for task in both:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def keep_fresh(self) -> None:
        """Look for replaced bundles until cancelled."""
        while self.settings.reload_seconds:
            await asyncio.sleep(self.settings.reload_seconds)
            await asyncio.to_thread(self.models.refresh)

    def close(self) -> None:
        """Finish what waits, and free the models."""
        self.draining = True
        for worker in self._workers.values():
            worker.close()
        self.models.close()
        if self.tracing is not None:
            self.tracing.close()


def _raise_first(done: Sequence[asyncio.Future[Any]]) -> None:
    """Raise the first error there is; the others are looked at, so that nobody misses them."""
    for error in [future.exception() for future in done]:
        if error is not None:
            raise error


async def until_left(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
