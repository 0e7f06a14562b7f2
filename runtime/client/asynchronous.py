"""The client for asyncio: the blocking one's twin, which awaits where that one blocks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from runtime.client.answers import Served, ServedModel, read_file, read_models, read_pixels
from runtime.client.asking import Call, Images, Options, check_address, grid_call, image_call, models_call
from runtime.client.connecting import CONCURRENCY, TIMEOUT, Connection
from runtime.client.retrying import Conversation, Pause, Retries, exchange
from runtime.client.streaming import AsyncStream
from runtime.extras import require

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Unpack

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same methods and arguments, to be awaited. Many tasks may share one."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int | Retries = Retries(),  # noqa: B008
        model: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """As `Client`."""
        self._httpx: Any = require("httpx")
        self._connection = Connection(check_address(url), token, timeout, Retries.of(retries), model, concurrency)
        self._client: httpx.AsyncClient = self._httpx.AsyncClient(**self._connection.arguments(self._httpx))
        self._served: Served | None = None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    async def generate(
        self,
        seeds: Sequence[int] | None = None,
        psi: float = 1.0,
        *,
        z: Any = None,
        w: Any = None,
        **options: Unpack[Options],
    ) -> np.ndarray:
        """As `Client.generate`: pixels, uint8 [N, H, W, C]."""
        parts = [part async for part in self.generate_batches(seeds, psi, z=z, w=w, **options)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    async def generate_batches(
        self,
        seeds: Sequence[int] | None = None,
        psi: float = 1.0,
        *,
        z: Any = None,
        w: Any = None,
        **options: Unpack[Options],
    ) -> AsyncIterator[np.ndarray]:
        """As `Client.generate_batches`."""
        images = Images.of(seeds, z, w, psi, self._connection.with_model(options))
        served = None if len(images.rows) == 1 else await self._what_is_served()
        async for part in self._in_order(images.calls(served), read_pixels):
            yield part

    async def image(
        self,
        seed: int,
        psi: float = 1.0,
        format: str = "png",  # noqa: A002
        quality: int | None = None,
        **options: Unpack[Options],
    ) -> bytes:
        """As `Client.image`: a file."""
        return await self._ask(image_call(seed, format, quality, psi, self._connection.with_model(options)), read_file)

    async def mix_grid(
        self,
        rows: Sequence[int],
        cols: Sequence[int],
        layers: str | Sequence[int] | None,
        psi: float = 1.0,
        **options: Unpack[Options],
    ) -> np.ndarray:
        """As `Client.mix_grid`: pixels, uint8 [H, W, C]."""
        call = grid_call(rows, cols, layers, psi, self._connection.with_model(options))
        return (await self._ask(call, read_pixels))[0]

    async def models(self) -> tuple[ServedModel, ...]:
        """What is served."""
        self._served = await self._ask(models_call(), read_models)
        return self._served.models

    def stream(self) -> AsyncStream:
        """As `Client.stream`: an asynchronous context manager."""
        return AsyncStream(self._connection)

    async def _what_is_served(self) -> Served:
        if self._served is None:
            self._served = await self._ask(models_call(), read_models)
        return self._served

    async def _in_order(self, calls: Iterator[Call], read: Callable[[httpx.Response], T]) -> AsyncIterator[T]:
        """The answers in the order of the calls, several being asked for at a time. The first failure ends them all."""
        failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        waiting: deque[asyncio.Task[T]] = deque()

        def ask(call: Call) -> asyncio.Task[T]:
            task = asyncio.create_task(self._ask(call, read))
            task.add_done_callback(told)
            return task

        def told(task: asyncio.Task[T]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not failure.done():
                failure.set_result(error)

        async def oldest() -> T:
            both: set[asyncio.Future[Any]] = {waiting[0], failure}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                raise failure.result()
            return waiting.popleft().result()

        try:
            for call in calls:
                waiting.append(ask(call))
                if len(waiting) == self._connection.concurrency:
                    yield await oldest()
            while waiting:
                yield await oldest()
        finally:  # one has failed, or nobody wants the rest
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _ask(self, call: Call, read: Callable[[httpx.Response], T]) -> T:
        return await self._run(exchange(call, self._connection.retries, read))

    async def _run(self, conversation: Conversation[T]) -> T:
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = conversation.send(None)
                else:
                    step = conversation.send(await self._send(step))
        except StopIteration as end:
            value: T = end.value
            return value

    async def _send(self, call: Call) -> httpx.Response | Exception:
        try:
            return await self._client.request(**self._connection.request(call))
        except self._httpx.RequestError as error:
            return error
