"""A worker: oldest first, together with what is alike, within a bounded queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from runtime.errors import GpuError, InputError
from runtime.server.errors import DrainingError, QueueFullError
from runtime.server.worker import FAILURES, Worker

SECONDS = 10


@dataclass(eq=False)
class Squares:
    """Squares numbers, as often as it is let, and remembers in which batches."""

    max_batch: int = 4
    batches: list[list[int]] = field(default_factory=list)
    may_run: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    def run(self, items: Sequence[int]) -> list[int]:
        self.began.set()
        assert self.may_run.wait(SECONDS)
        self.batches.append(list(items))
        if any(item < 0 for item in items):
            raise InputError("a number below 0")
        if any(item > 1000 for item in items):
            raise GpuError("the GPU is lost")
        return [item * item for item in items]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("cpu", max_queue=10)
    yield worker
    worker.close()


def test_what_waits_is_drawn_together(worker: Worker) -> None:
    kind = Squares()
    first = worker.submit(kind, [1])
    assert kind.began.wait(SECONDS)  # from now on, others wait
    others = [worker.submit(kind, [number])[0] for number in range(2, 8)]
    assert worker.depth == 6
    kind.may_run.set()
    assert [future.result(SECONDS).value for future in [*first, *others]] == [1, 4, 9, 16, 25, 36, 49]
    assert kind.batches == [[1], [2, 3, 4, 5], [6, 7]]
    assert others[0].result().batch == 4
    assert others[0].result().waited > 0


def test_kinds_are_not_mixed_and_none_is_passed_over(worker: Worker) -> None:
    one, other = Squares(), Squares()
    futures = worker.submit(one, [0])
    assert one.began.wait(SECONDS)
    for number in (1, 2, 3):
        futures += worker.submit(other, [number]) + worker.submit(one, [-1 + 2 * number])
    other.may_run.set()
    one.may_run.set()
    [future.result(SECONDS) for future in futures]
    assert one.batches == [[0], [1, 3, 5]]
    assert other.batches == [[1, 2, 3]]


def test_a_full_queue_refuses_all_of_a_request(worker: Worker) -> None:
    kind = Squares()
    futures = worker.submit(kind, [0])
    assert kind.began.wait(SECONDS)
    futures += worker.submit(kind, range(8))
    with pytest.raises(QueueFullError, match=r"8 images wait already, 3 more would be over the limit of 10") as caught:
        worker.submit(kind, range(3))
    assert int(caught.value.headers["Retry-After"]) >= 1
    assert worker.depth == 8
    futures[-1].cancel()  # makes room
    futures += worker.submit(kind, range(3))
    kind.may_run.set()


def test_a_cancelled_task_is_never_run(worker: Worker) -> None:
    kind = Squares()
    worker.submit(kind, [0])
    assert kind.began.wait(SECONDS)
    dropped, kept = worker.submit(kind, [1, 2])
    assert dropped.cancel()
    kind.may_run.set()
    assert kept.result(SECONDS).value == 4
    assert kind.batches == [[0], [2]]


def test_one_that_fails_fails_alone(worker: Worker) -> None:
    kind = Squares()
    kind.may_run.set()
    good, bad, other = worker.submit(kind, [1, -1, 2])
    assert good.result(SECONDS).value == 1
    assert other.result(SECONDS).value == 4
    with pytest.raises(InputError, match="below 0"):
        bad.result(SECONDS)
    assert worker.healthy


def test_a_lost_device_is_told_and_may_come_back(worker: Worker) -> None:
    kind = Squares()
    kind.may_run.set()
    for _ in range(FAILURES):
        assert worker.healthy
        with pytest.raises(GpuError):
            worker.submit(kind, [1001])[0].result(SECONDS)
    assert not worker.healthy
    worker.submit(kind, [1])[0].result(SECONDS)
    assert worker.healthy


def test_a_batch_may_wait_for_more() -> None:
    worker, kind = Worker("cpu", max_queue=10, max_wait=SECONDS), Squares()
    kind.may_run.set()
    start = time.monotonic()
    futures = [worker.submit(kind, [number])[0] for number in range(4)]
    assert [future.result(SECONDS).batch for future in futures] == [4, 4, 4, 4]
    assert time.monotonic() - start < SECONDS / 2  # a full batch does not
    worker.close()


def test_closing_finishes_what_waits() -> None:
    worker, kind = Worker("cpu", max_queue=10), Squares()
    futures = worker.submit(kind, [1]) + worker.submit(kind, range(9))
    assert kind.began.wait(SECONDS)
    closing = threading.Thread(target=worker.close)
    closing.start()
    while not worker._closing:
        time.sleep(0.01)
    with pytest.raises(DrainingError, match="the server is closing"):
        worker.submit(kind, [1])
    kind.may_run.set()
    closing.join(SECONDS)
    assert all(future.done() and future.exception() is None for future in futures)
