"""The protocol's models over a service: found by name, described, asked, counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np

from runtime.errors import InputError, quoted
from runtime.server.about import own_version
from runtime.server.errors import NotFoundError
from runtime.server.inference.asking import Asked
from runtime.server.inference.interface import VERSION, Interface, Part
from runtime.server.inference.planning import gather, plan
from runtime.server.inference.statistics import Statistics
from runtime.server.models import Model
from runtime.server.service import Receive, Service

INLINE_BYTES = 1 << 16
"""Bytes that are read or written at once, in a millisecond, rather than by another thread, which takes a moment."""
NAME = "stylegan-edge"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
"""Extensions of the protocol that are spoken here, by Triton's names."""

LOADING = (
    "models are loaded when the server starts, and again when their bundle is replaced; "
    "replace the bundle's folder, or start the server anew"
)
"""Why a client can neither load nor unload: who asks for images may not change what others are given."""

Answer = TypeVar("Answer")
Answered = TypeVar("Answered", covariant=True)


class Exchange(Protocol[Answered]):
    """A request of `size` bytes and its answer, in the form that one way of asking gives them."""

    @property
    def size(self) -> int:
        """Bytes of the request."""
        ...

    def read(self, interface: Interface) -> Asked:
        """What is asked of a model. Raises BadRequestError and NotOfferedError."""
        ...

    def write(self, interface: Interface, asked: Asked, arrays: Mapping[str, np.ndarray]) -> Answered:
        """The answer that holds the outputs."""
        ...


class InferenceModels:
    """What REST and gRPC answer from."""

    def __init__(self, service: Service) -> None:
        """Raises InputError where bundles' names make two models of one name."""
        self.service = service
        self.statistics = Statistics()
        self._parts: dict[str, tuple[str, Part]] = {}
        for source in service.models.names:
            for part in Part:
                other = self._parts.setdefault(source + part.value, (source, part))
                if other != (source, part):
                    raise InputError(
                        f"the bundles {other[0]} and {source} both make a model called {source + part.value}: "
                        "name one otherwise, as OTHER=BUNDLE"
                    )

    @property
    def names(self) -> list[str]:
        """Of all models, a bundle's behind each other."""
        return list(self._parts)

    @contextmanager
    def use(self, name: str, version: str = "") -> Iterator[tuple[Model, Interface]]:
        """A model, which stays open until the block ends, and what is asked of it. Raises NotFoundError."""
        if name not in self._parts:
            raise NotFoundError(f"model {quoted(name)} is not served, expected one of {', '.join(self._parts)}")
        if version not in ("", VERSION):
            raise NotFoundError(f"model {name} has no version {quoted(version)}, expected {VERSION}")
        source, part = self._parts[name]
        with self.service.models.use(source) as model:
            yield model, Interface.of(model, part)

    def server(self) -> dict[str, Any]:
        """The server's metadata."""
        return {"name": NAME, "version": own_version(), "extensions": list(EXTENSIONS)}

    def metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """A model's metadata."""
        with self.use(name, version) as (model, interface):
            return interface.metadata(model)

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        """A model's configuration."""
        settings = self.service.settings
        with self.use(name, version) as (model, interface):
            return interface.config(model, settings.limits, settings.max_wait)

    def index(self, ready: bool = False) -> list[dict[str, Any]]:
        """All models, or those that are ready."""
        trouble = self.service.trouble
        state = "READY" if trouble is None else "UNAVAILABLE"
        names = [] if ready and trouble is not None else self.names
        return [{"name": name, "version": VERSION, "state": state, "reason": trouble or ""} for name in names]

    def counted(self, name: str = "", version: str = "") -> dict[str, Any]:
        """Statistics of a model, or of all."""
        if name:
            with self.use(name, version):
                pass
        return {"model_stats": [self.statistics.plain(item) for item in ([name] if name else self.names)]}

    async def infer(
        self, name: str, version: str, exchange: Exchange[Answer], since: float, receive: Receive | None = None
    ) -> Answer:
        """Answer a request that came at `since`, in `time.perf_counter`'s seconds.

        Raises NotFoundError, what `exchange.read` raises, and what `Service.run` does.
        """
        with self.use(name, version) as (model, interface):
            try:
                return await self._infer(model, interface, exchange, since, receive)
            except BaseException:  # also where the client has left
                self.statistics.failed(interface.name, time.perf_counter() - since)
                raise

    async def _infer(
        self, model: Model, interface: Interface, exchange: Exchange[Answer], since: float, receive: Receive | None
    ) -> Answer:
        limits, metrics = self.service.settings.limits, self.service.metrics
        start = time.perf_counter()

        def understand() -> tuple[Asked, Any, list[Any]]:
            asked = exchange.read(interface)
            return asked, *plan(model, interface, asked.inputs, asked.outputs, limits)

        asked, kind, items = await apart(exchange.size, understand)
        reading = time.perf_counter() - start
        results = await self.service.run(model, kind, items, receive, since, asked.timeout)
        start = time.perf_counter()
        arrays = gather(interface, asked.outputs, results)
        size = sum(array.nbytes for array in arrays.values())
        answer = await apart(size, lambda: exchange.write(interface, asked, arrays))
        writing = time.perf_counter() - start
        metrics.latency.labels("encode").observe(writing)
        if interface.part is not Part.MAPPING:
            metrics.images.labels(model.source.name).inc(len(items))
        self.statistics.succeeded(interface.name, results, time.perf_counter() - since, reading, writing)
        return answer


async def apart(size: int, work: Callable[[], Answer]) -> Answer:
    """Do it here where there is little to do, else in a thread, so that others are answered meanwhile."""
    return work() if size <= INLINE_BYTES else await asyncio.to_thread(work)
