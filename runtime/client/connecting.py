"""Where a client asks and how: what the blocking one and the one for asyncio are both made with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from runtime.client.asking import Call, Options
from runtime.client.retrying import Retries
from runtime.errors import InputError

TIMEOUT = 90.0
"""Seconds that an answer may take: more than a server gives a request, so that it is the one that says so."""
CONNECT_SECONDS = 10.0
"""Seconds to reach a server, at most."""
CONCURRENCY = 4
"""Requests of a long list at a time: their images fill batches, and by default a server's queue at most."""


@dataclass(frozen=True)
class Connection:
    """How a client was set up."""

    url: str
    token: str | None
    timeout: float
    retries: Retries
    model: str | None
    concurrency: int

    def __post_init__(self) -> None:
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise InputError(f"the timeout is {self.timeout:g} s, expected more than 0")
        if self.concurrency < 1:
            raise InputError(f"{self.concurrency} requests at a time, expected 1 or more")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise InputError("the token is not a line of printable ASCII characters, as one of a header is")

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token.strip()}"}

    @property
    def stream_url(self) -> str:
        """Where the WebSocket is."""
        return "ws" + self.url.removeprefix("http") + "/v1/stream"

    def arguments(self, httpx: Any) -> dict[str, Any]:
        """What httpx' clients are made with."""
        timeout = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_SECONDS))
        return {"headers": self.headers, "timeout": timeout}

    def request(self, call: Call) -> dict[str, Any]:
        """A call as the arguments of httpx' `request`."""
        given: dict[str, Any] = {"method": call.method, "url": self.url + call.path, "headers": {"Accept": call.accept}}
        return given if call.document is None else given | {"json": call.document}

    def with_model(self, options: Options) -> Options:
        """Options of a call, with the client's own model where the call names none."""
        return options if self.model is None or options.get("model") is not None else {**options, "model": self.model}
