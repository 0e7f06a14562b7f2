"""Bearer tokens: where they come from, and whether one is right."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable

TOKENS_VARIABLE = "STYLEGAN_EDGE_TOKENS"
"""Bearer tokens, separated by spaces, where no file is given."""


def environment_tokens() -> frozenset[str]:
    """The tokens of the environment; none lets everybody in."""
    return frozenset(os.environ.get(TOKENS_VARIABLE, "").split())


def bearer(authorization: str) -> list[str]:
    """The token that the value of `Authorization` carries; none where it is of another kind."""
    kind, _, token = authorization.partition(" ")
    return [token.strip()] if kind.lower() == "bearer" else []


def is_known(given: Iterable[str], tokens: Iterable[bytes]) -> bool:
    """Whether one of the given tokens is one of those that are let in."""
    matches = [hmac.compare_digest(item.encode(), known) for item in given for known in tokens]
    return any(matches)  # of all, compared in the same time whichever is right
