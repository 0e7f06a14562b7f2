"""What is wrong with a request, of pydantic's many words, in one line."""

from __future__ import annotations

from pydantic import ValidationError

from runtime.errors import quoted

MAX_SHOWN_PLACE = 60
"""Characters of the place of a wrong value that a message shows."""


def first_fault(error: ValidationError, depth: int | None = None) -> str:
    """The first thing that is wrong, with the place where: `depth` names of it (None: all)."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    place = ".".join(str(part) for part in first["loc"][:depth])[:MAX_SHOWN_PLACE]
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        return f"{place} is not a field of this request; see /openapi.json"
    return f"{place or 'the body'} is {quoted(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"
