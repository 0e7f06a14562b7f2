"""A thread for a device: it drains a bounded queue into batches."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.errors import GpuError, StyleganEdgeError
from runtime.server.errors import DrainingError, QueueFullError

FAILURES = 3
"""Batches that may fail in a row, each drawn again alone, before a device counts as lost: a full memory may pass."""
FIRST_GUESS = 0.5
"""Seconds that one image is taken to need before any was drawn, for `Retry-After`."""
SMOOTHING = 0.2
"""Weight of the newest batch in the mean time an image takes."""


class Kind(Protocol):
    """What can be computed together: tasks of one kind make a batch."""

    @property
    def max_batch(self) -> int:
        """Most items of one batch."""
        ...

    def run(self, items: Sequence[Any]) -> list[Any]:
        """Compute a batch: one result an item, in order."""
        ...


class Observer(Protocol):
    """Who is told what a worker does."""

    def batch_done(self, worker: str, size: int, waited: Sequence[float], seconds: float) -> None:
        """A batch of `size` items took `seconds`, after each had waited `waited` seconds."""
        ...


@dataclass(frozen=True)
class Result:
    """What became of a task: its value, the seconds that it waited and ran, and how many shared its batch."""

    value: Any
    waited: float
    seconds: float
    batch: int


@dataclass(frozen=True)
class _Task:
    kind: Kind
    item: Any
    future: Future[Result]
    since: float = field(default_factory=time.perf_counter)


class Worker:
    """Runs what is submitted, oldest first, together with what else of its kind waits.

    `max_wait` is how many seconds a batch that is not full waits for more. Nobody waits at 0, and under load batches
    fill all the same: they form while the one before is computed.
    """

    def __init__(self, name: str, max_queue: int, max_wait: float = 0.0, observer: Observer | None = None) -> None:
        self.name = name
        self._max_queue, self._max_wait, self._observer = max_queue, max_wait, observer
        self._tasks: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._running = 0
        self._failures = 0
        self._pace = FIRST_GUESS
        self._thread = threading.Thread(target=self._work, name=f"worker {name}", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Tasks that wait."""
        return len(self._tasks)

    @property
    def healthy(self) -> bool:
        """Whether it runs, and its last batches did not all fail."""
        return self._thread.is_alive() and self._failures < FAILURES

    def submit(self, kind: Kind, items: Sequence[Any]) -> list[Future[Result]]:
        """Queue items, all or none; one future each. Cancelling one takes it out of the queue.

        Raises QueueFullError, with `Retry-After`, where they don't fit, and DrainingError once `close` was called.
        """
        with self._changed:
            if self._closing:
                raise DrainingError("the server is closing; ask another, or again in a moment", {"Retry-After": "1"})
            if len(self._tasks) + len(items) > self._max_queue:
                self._drop_cancelled()
            if len(self._tasks) + len(items) > self._max_queue:
                wait = max(1, math.ceil(self._pace * len(self._tasks)))
                raise QueueFullError(
                    f"{len(self._tasks)} images wait already, {len(items)} more would be over the limit of "
                    f"{self._max_queue}; ask again in {wait} s",
                    {"Retry-After": str(wait)},
                )
            tasks = [_Task(kind, item, Future()) for item in items]
            self._tasks.extend(tasks)
            self._changed.notify_all()
        return [task.future for task in tasks]

    def close(self) -> None:
        """Take no more, finish what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._tasks and not self._closing:
                    self._changed.wait()
                if not self._tasks:
                    return
                self._wait_for_more()
                batch = self._take()
            if batch:
                self._run(batch)

    def _wait_for_more(self) -> None:
        """Let a batch fill up, for as long as its oldest task may still wait."""
        while self._max_wait and self._tasks and not self._closing:
            oldest = self._tasks[0]
            left = oldest.since + self._max_wait - time.perf_counter()
            alike = sum(task.kind is oldest.kind for task in self._tasks)
            if left <= 0 or alike >= oldest.kind.max_batch:
                return
            self._changed.wait(left)

    def _take(self) -> list[_Task]:
        """The oldest task and those of its kind, out of the queue; without those that were cancelled."""
        self._drop_cancelled()
        if not self._tasks:
            return []
        kind = self._tasks[0].kind
        batch: list[_Task] = []
        others: deque[_Task] = deque()
        for task in self._tasks:
            mine = task.kind is kind and len(batch) < kind.max_batch
            if mine and task.future.set_running_or_notify_cancel():
                batch.append(task)
            elif not mine:
                others.append(task)
        self._tasks = others
        return batch

    def _drop_cancelled(self) -> None:
        self._tasks = deque(task for task in self._tasks if not task.future.cancelled())

    def _run(self, batch: list[_Task]) -> None:
        start = time.perf_counter()
        try:
            values = batch[0].kind.run([task.item for task in batch])
        except Exception as error:  # whatever it is, those who wait must hear of it, and the thread go on
            self._failed(batch, error)
            return
        seconds = time.perf_counter() - start
        self._failures = 0
        self._pace += SMOOTHING * (seconds / len(batch) - self._pace)
        waited = [start - task.since for task in batch]
        for task, value, wait in zip(batch, values, waited):
            task.future.set_result(Result(value, wait, seconds, len(batch)))
        if self._observer is not None:  # now that nobody waits for it
            self._observer.batch_done(self.name, len(batch), waited, seconds)

    def _failed(self, batch: list[_Task], error: Exception) -> None:
        """Run each alone, so that none fails for another's sake; one that was alone has failed."""
        if len(batch) > 1:
            for task in batch:
                self._run([task])
            return
        if isinstance(error, GpuError) or not isinstance(error, StyleganEdgeError):
            self._failures += 1
        batch[0].future.set_exception(error)
