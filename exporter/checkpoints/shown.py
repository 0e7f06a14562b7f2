"""Values from a file, as they may stand in an error message: short, on one line, printable."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from runtime.errors import HUGE

MAX_SHOWN = 80
"""Characters of a value that a message shows."""
MAX_KEYS_SHOWN = 8
"""Keys that a message lists of a file that holds no generator."""


def quoted(value: Any) -> str:
    """Like `shown`, with quotes around text."""
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def listed(keys: Iterable[Any]) -> str:
    """The first few keys of a dictionary."""
    return ", ".join(quoted(key) for key in islice(keys, MAX_KEYS_SHOWN)) or "nothing"


def shown(value: Any) -> str:
    """Text without quotes, escaped and cut; numbers as they are; of anything else only the type."""
    if isinstance(value, str):
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in value[:MAX_SHOWN])
        return text + "..." * (len(value) > MAX_SHOWN)
    if isinstance(value, int) and abs(value) >= HUGE:
        return "a huge number"
    if value is None or isinstance(value, (int, float)):
        return str(value)
    return f"a {type(value).__name__}"
