"""Bodies of requests: read within the limits, decompressed, and refused before they are parsed."""

from __future__ import annotations

import re
import zlib
from itertools import accumulate

from starlette.requests import ClientDisconnect, Request

from runtime.server.deadline import at_most
from runtime.server.errors import (
    BadRequestError,
    BodyTooLargeError,
    ClientClosedError,
    SlowBodyError,
    UnsupportedTypeError,
)
from runtime.server.limits import Limits

MAX_LENGTH_DIGITS = 18
"""Digits of a length in a header: Python refuses to read thousands."""

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""How zlib is told the compressions of HTTP."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


async def read_body(request: Request, limits: Limits, most: int | None = None) -> bytes:
    """The whole body, decompressed, of `most` bytes (None: as many as the limits allow).

    Raises BodyTooLargeError, UnsupportedTypeError for a compression other than gzip and deflate, SlowBodyError,
    BadRequestError where it is damaged, ClientClosedError.
    """
    most = limits.max_body if most is None else min(most, limits.max_body)
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and (len(told) > MAX_LENGTH_DIGITS or int(told) > most):
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        with at_most(limits.request_seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {limits.request_seconds:g} s") from None
    except ClientDisconnect:
        raise ClientClosedError("the client has left before its request was whole") from None
    return decompress(b"".join(parts), request.headers.get("content-encoding", "identity"), most)


async def read_json(request: Request, limits: Limits) -> bytes:
    """A body that says it is JSON, not nested too deep. Raises UnsupportedTypeError, and what `read_body` raises."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Also what keeps other sites' forms out: a browser asks before it sends JSON elsewhere.
        raise UnsupportedTypeError(f"the body is {kind[:60] or 'of no type'}, expected application/json")
    body = await read_body(request, limits, limits.max_document)
    check_depth(body, limits)
    return body


def decompress(body: bytes, encoding: str, most: int) -> bytes:
    """A body without its compression, which may not grow over `most` bytes either."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise UnsupportedTypeError(f"Content-Encoding {encoding[:40]!r} is not read here, expected gzip or deflate")
    reader = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        whole = reader.decompress(body, most + 1)
    except zlib.error:
        raise BadRequestError(f"the body is not {name} as its Content-Encoding says") from None
    if len(whole) > most:
        raise _too_large(most)
    if not reader.eof:
        raise BadRequestError(f"the {name} body ends before its end; send it whole")
    return whole


def check_depth(document: bytes, limits: Limits) -> None:
    """Raise BadRequestError where a JSON text nests deeper than the limit, before anything recurses into it."""
    if document.count(b"[") + document.count(b"{") <= limits.max_json_depth:
        return  # as nearly always, and soon told
    brackets = _STRING.sub(b"", document).translate(None, _OTHERS)
    deepest = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
    if deepest > limits.max_json_depth:
        raise BadRequestError(f"the JSON body nests {deepest} deep, {limits.max_json_depth} is the limit")


def _too_large(most: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is over the limit of {most:,} bytes; send less at once")
