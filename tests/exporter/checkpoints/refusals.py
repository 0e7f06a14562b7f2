"""What every refusal of a checkpoint has in common."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.checkpoints import load_checkpoint
from runtime.errors import CheckpointError, StyleganEdgeError

MAX_SECONDS = 5.0
MAX_BYTES = 64 << 20
MAX_MESSAGE = 1000


def assert_refused(
    path: Path, message: str, error: type[StyleganEdgeError] = CheckpointError, *, memory: int = MAX_BYTES
) -> None:
    """The file is refused with exactly this class of error, in one printable line, in bounded time and memory."""
    with bounded(memory=memory), pytest.raises(StyleganEdgeError) as caught:
        load_checkpoint(path)
    found = str(caught.value)
    assert type(caught.value) is error, found
    assert message in found, found
    assert found.startswith(f"{path}: ")
    assert found.isprintable(), f"not one printable line: {found!r}"
    assert len(found) < MAX_MESSAGE, f"a message of {len(found)} characters"


@contextmanager
def bounded(seconds: float = MAX_SECONDS, memory: int = MAX_BYTES) -> Iterator[None]:
    """Fail where the body takes longer or holds more memory at once."""

    def out_of_time(*_: Any) -> None:
        pytest.fail(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert peak < memory, f"held {peak:,} bytes"
