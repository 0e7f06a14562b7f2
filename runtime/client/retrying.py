"""Asking again: what is worth it, and how long to wait before.

`exchange` says what to send and how long to wait, and sends nothing itself: whoever drives it may block, or await.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from runtime.client.answers import DamagedAnswerError, refusal, words_of
from runtime.client.asking import Call
from runtime.errors import InputError, ServerError, StyleganEdgeError

if TYPE_CHECKING:
    import httpx

RETRIES = 6
"""Times that a request is sent again: with the waits below about ten seconds, in which a server restarts."""
BASE_SECONDS = 0.2
"""Longest wait before the first retry; it doubles with each."""
MAX_SECONDS = 5.0
"""Longest wait of our own."""
MAX_RETRY_AFTER = 60.0
"""Longest wait that a server may ask for: one that asks for more has said no."""
WORTH_RETRYING = frozenset({429, 502, 503, 504})
"""Statuses that pass: a full queue, and servers that end, start or are too busy. No other 4xx, nor a 500, does."""

T = TypeVar("T")


@dataclass(frozen=True)
class Retries:
    """How often to ask again, and how long to wait: `base` seconds, doubled each time, at most `longest`.

    Up to half of a wait is left out at random, so that clients that failed together do not come back together. A
    server's own Retry-After takes its place, up to `longest_asked`.
    """

    count: int = RETRIES
    base: float = BASE_SECONDS
    longest: float = MAX_SECONDS
    longest_asked: float = MAX_RETRY_AFTER

    def __post_init__(self) -> None:
        if self.count < 0 or min(self.base, self.longest, self.longest_asked) < 0:
            raise InputError("retries and their waits are 0 or more")

    @classmethod
    def of(cls, given: int | Retries) -> Retries:
        """Retries as they are, or a number of them with the usual waits."""
        return given if isinstance(given, Retries) else cls(given)

    def wait(self, attempt: int) -> float:
        """Seconds to wait after attempt 0, 1, ..."""
        limit = min(self.longest, self.base * 2**attempt)
        return limit * random.uniform(0.5, 1.0)  # noqa: S311


@dataclass(frozen=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


Conversation = Generator["Call | Pause", "httpx.Response | Exception | None", T]
"""What to do next; it is sent the answer to each Call, or the error that came of it."""


def exchange(call: Call, retries: Retries, read: Callable[[httpx.Response], T]) -> Conversation[T]:
    """Ask until there is a sound answer, and read it.

    Raises InputError for what the server refuses, and ServerError where it can't be reached or fails, once all retries
    are used up.
    """
    for attempt in itertools.count():
        outcome = yield call
        asked = None
        try:
            return read(_sound(outcome))
        except _Passing as passing:
            failure, asked = passing.error, passing.seconds
        except DamagedAnswerError as error:
            failure = error
        if asked is not None and asked > retries.longest_asked:
            raise failure
        if attempt == retries.count:
            raise ServerError(f"{failure} (asked {attempt + 1} times); is the server running, and not overloaded?")
        yield Pause(retries.wait(attempt) if asked is None else asked)
    raise AssertionError


class _Passing(Exception):  # noqa: N818
    """A failure that may pass, and the seconds that the server asks to wait."""

    def __init__(self, error: StyleganEdgeError, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.seconds = error, seconds


def _sound(outcome: httpx.Response | Exception | None) -> httpx.Response:
    """An answer of success. Raises _Passing, or the error that is not worth another attempt."""
    if outcome is None or isinstance(outcome, Exception):
        reason = str(outcome) or type(outcome).__name__
        raise _Passing(ServerError(f"the server can't be reached, or broke off: {reason}"))
    if outcome.is_success:
        return outcome
    failure = refusal(outcome.status_code, words_of(outcome))
    if outcome.status_code not in WORTH_RETRYING:
        raise failure
    raise _Passing(failure, retry_after(outcome.headers.get("retry-after")))


def retry_after(header: str | None) -> float | None:
    """Seconds to wait, of a Retry-After header: a number or a date. None where there is no sound one."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
