"""A limit to how long something is waited for."""

from __future__ import annotations

import asyncio

import pytest

from runtime.server.deadline import at_most


async def waits(seconds: float, limit: float) -> str:
    with at_most(limit):
        await asyncio.sleep(seconds)
    return "done"


def test_what_ends_in_time_is_left_alone() -> None:
    async def twice() -> str:
        await waits(0, 0.01)
        return await waits(0.03, 10)  # the first limit is over, and cancels nothing

    assert asyncio.run(twice()) == "done"


def test_what_takes_longer_is_ended_and_its_task_goes_on() -> None:
    async def goes_on() -> str:
        with pytest.raises(TimeoutError, match=r"not done within 0\.01 s"):
            await waits(10, 0.01)
        return await asyncio.wait_for(waits(0.01, 10), 10)

    assert asyncio.run(goes_on()) == "done"


def test_a_cancellation_from_elsewhere_is_one() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(waits(10, 10))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
