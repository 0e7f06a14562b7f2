"""A client behind a bad network gets every image, and asks again only where that helps."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest

from runtime import Generator
from runtime.client import AsyncClient, Client, Retries
from runtime.client.retrying import retry_after
from runtime.errors import InputError, ServerError
from tests.runtime.client.troubled import Troubled

QUICK = Retries(5, base=0.001)
PASSING = ["drop", "429", "502", "503", "504", "truncate", "shorten", "hang"]


@pytest.mark.parametrize("trouble", PASSING)
def test_what_passes_is_asked_again(proxy: Troubled, tiny: Generator, trouble: str) -> None:
    proxy.plan = [trouble, trouble]
    with Client(proxy.url, timeout=0.5, retries=QUICK) as client:
        image = client.generate([1])
    assert (image == tiny.generate([1])).all()
    assert len(proxy.asked) == 3


def test_all_of_it_at_once(proxy: Troubled, tiny: Generator) -> None:
    """Four requests at a time, of which any may be hit."""
    expected = tiny.generate(range(300), 0.7)
    proxy.plan = ["none", *PASSING[:-1]]
    with Client(proxy.url, retries=QUICK) as client:
        assert (client.generate(range(300), 0.7) == expected).all()
    assert len(proxy.asked) == 1 + 5 + 7  # models, five parts, and one more for each trouble

    async def ask() -> None:
        proxy.plan = ["none", *PASSING[:-1]]
        async with AsyncClient(proxy.url, retries=QUICK) as client:
            assert (await client.generate(range(300), 0.7) == expected).all()

    asyncio.run(ask())


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_what_does_not_pass_is_asked_once(proxy: Troubled, status: int) -> None:
    proxy.plan = [str(status)] * 2
    with (
        Client(proxy.url, retries=QUICK) as client,
        pytest.raises(InputError if status < 500 else ServerError, match=f"trouble {status}"),
    ):
        client.generate([1])
    assert len(proxy.asked) == 1


def test_patience_ends(proxy: Troubled) -> None:
    proxy.plan = ["503"] * 10
    with (
        Client(proxy.url, retries=Retries(2, base=0.001)) as client,
        pytest.raises(ServerError, match=r"answered 503: trouble 503 \(asked 3 times\)"),
    ):
        client.image(1)
    assert len(proxy.asked) == 3


def test_one_failure_ends_a_list(proxy: Troubled) -> None:
    """The others do not wait the 50 s that they were told, whichever it was."""
    start = time.monotonic()
    plan = ["none", "503", "503", "400", *["503"] * 100]
    proxy.plan, proxy.retry_after = plan.copy(), "50"
    with Client(proxy.url) as client, pytest.raises(InputError, match="trouble 400"):
        client.generate(range(500))

    async def ask() -> None:
        proxy.plan = plan.copy()
        async with AsyncClient(proxy.url) as client:
            with pytest.raises(InputError, match="trouble 400"):
                await client.generate(range(500))

    asyncio.run(ask())
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_server_is_given_the_time_it_asks_for(proxy: Troubled, status: str) -> None:
    proxy.plan, proxy.retry_after = [status], "1"
    with Client(proxy.url, retries=QUICK) as client:
        client.generate([1])
    assert proxy.times[1] - proxy.times[0] >= 1


def test_a_server_that_asks_for_too_long_has_said_no(proxy: Troubled) -> None:
    proxy.plan, proxy.retry_after = ["429"], "3600"
    with Client(proxy.url, retries=QUICK) as client, pytest.raises(ServerError, match="trouble 429"):
        client.generate([1])
    assert len(proxy.asked) == 1


def test_waits_grow_and_differ() -> None:
    retries = Retries(base=0.5, longest=3.0)
    for attempt, limit in enumerate([0.5, 1.0, 2.0, 3.0, 3.0]):
        waits = [retries.wait(attempt) for _ in range(50)]
        assert limit / 2 <= min(waits) < max(waits) <= limit


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("7") == 7
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("-3") is None
    found = retry_after(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert found is not None
    assert 28 < found <= 30
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
