"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.errors import InputError
from runtime.server.limits import Limits
from runtime.server.models import ModelSource

RELOAD_SECONDS = 2.0
"""How often bundles are looked at for having been replaced: a call of `stat` each."""
CACHE_SECONDS = 3600
"""How long browsers and proxies keep an image of a seed without asking: a bundle is replaced less often than hourly."""


@dataclass(frozen=True)
class Settings:
    """What is served, to whom, and how much of it.

    `max_wait` is the seconds that a batch waits for more; `tokens` are the bearer tokens that are let in (none:
    everybody); `reload_seconds` 0 never looks for replaced bundles; `trace_share` of requests are traced to
    `trace_endpoint` by OpenTelemetry.
    """

    sources: tuple[ModelSource, ...]
    limits: Limits = field(default_factory=Limits)
    max_wait: float = 0.0
    tokens: frozenset[str] = frozenset()
    reload_seconds: float = RELOAD_SECONDS
    cache_seconds: int = CACHE_SECONDS
    trace_share: float = 0.0
    trace_endpoint: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_wait <= self.limits.request_seconds:
            raise InputError(f"the wait for a batch is {self.max_wait:g} s, expected 0 to the time of a request")
        if not 0 <= self.trace_share <= 1:
            raise InputError(f"the share of requests to trace is {self.trace_share:g}, expected 0 to 1")
        if self.reload_seconds < 0 or self.cache_seconds < 0:
            raise InputError("reload_seconds and cache_seconds are 0 or more")
