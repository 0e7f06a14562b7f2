"""The blocking client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from runtime.client.answers import Served, ServedModel, read_file, read_models, read_pixels
from runtime.client.asking import Call, Images, Options, check_address, grid_call, image_call, models_call
from runtime.client.connecting import CONCURRENCY, TIMEOUT, Connection
from runtime.client.retrying import Conversation, Pause, Retries, exchange
from runtime.client.streaming import Stream
from runtime.errors import ServerError
from runtime.extras import require

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Unpack

T = TypeVar("T")


class Client:
    """Draws by a server's hand. Threads may share one. A context manager: `close` ends its connections."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int | Retries = Retries(),  # noqa: B008
        model: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """`url` is like http://127.0.0.1:8000; `token` a bearer token; `timeout` the seconds that an answer may take.

        What fails is asked again, `retries` times. `model` is the bundle where a call names none. Long lists are asked
        for in parts, `concurrency` at a time. Raises InputError, and MissingDependencyError without httpx.
        """
        self._httpx: Any = require("httpx")
        self._connection = Connection(check_address(url), token, timeout, Retries.of(retries), model, concurrency)
        self._client: httpx.Client = self._httpx.Client(**self._connection.arguments(self._httpx))
        self._served: Served | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def generate(
        self,
        seeds: Sequence[int] | None = None,
        psi: float = 1.0,
        *,
        z: Any = None,
        w: Any = None,
        **options: Unpack[Options],
    ) -> np.ndarray:
        """Seeds, latents `z` [N, z_dim], or styles `w` [N, w_dim] or [N, num_ws, w_dim] -> pixels, uint8 [N, H, W, C].

        A bundle with K mixing sources takes K an image. `options` are those of `Options`. As many as there are: more
        than the server allows at once are asked for in parts. Raises InputError and ServerError.
        """
        parts = list(self.generate_batches(seeds, psi, z=z, w=w, **options))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def generate_batches(
        self,
        seeds: Sequence[int] | None = None,
        psi: float = 1.0,
        *,
        z: Any = None,
        w: Any = None,
        **options: Unpack[Options],
    ) -> Iterator[np.ndarray]:
        """Like `generate`, the answer to a request at a time, so that memory stays bounded."""
        images = Images.of(seeds, z, w, psi, self._connection.with_model(options))
        served = None if len(images.rows) == 1 else self._what_is_served()
        yield from self._in_order(images.calls(served), read_pixels)

    def image(
        self,
        seed: int,
        psi: float = 1.0,
        format: str = "png",  # noqa: A002
        quality: int | None = None,
        **options: Unpack[Options],
    ) -> bytes:
        """The image of a seed as a file: "png", "jpeg" or "webp", the latter two in a `quality` of 1 to 100."""
        return self._ask(image_call(seed, format, quality, psi, self._connection.with_model(options)), read_file)

    def mix_grid(
        self,
        rows: Sequence[int],
        cols: Sequence[int],
        layers: str | Sequence[int] | None,
        psi: float = 1.0,
        **options: Unpack[Options],
    ) -> np.ndarray:
        """A grid as `stylegan-edge mix` draws it, pixels uint8 [H, W, C]: each takes `layers` from its column's seed.

        The whole grid is one request, so the server's limits are the grid's.
        """
        return self._ask(grid_call(rows, cols, layers, psi, self._connection.with_model(options)), read_pixels)[0]

    def models(self) -> tuple[ServedModel, ...]:
        """What is served."""
        self._served = self._ask(models_call(), read_models)
        return self._served.models

    def stream(self) -> Stream:
        """A connection that answers one frame after the other, over a WebSocket. A context manager."""
        return Stream(self._connection)

    def _what_is_served(self) -> Served:
        if self._served is None:
            self._served = self._ask(models_call(), read_models)
        return self._served

    def _in_order(self, calls: Iterator[Call], read: Callable[[httpx.Response], T]) -> Iterator[T]:
        """The answers in the order of the calls, several being asked for at a time. The first failure ends them all."""
        stop = threading.Event()
        failures: list[BaseException] = []
        waiting: deque[Future[T]] = deque()

        def ask(call: Call) -> T:
            try:
                return self._ask(call, read, stop)
            except BaseException as error:
                failures.append(error)
                stop.set()
                raise

        def oldest() -> T:
            try:
                return waiting.popleft().result()
            except ServerError:
                raise failures[0] from None

        with ThreadPoolExecutor(self._connection.concurrency) as pool:
            try:
                for call in calls:
                    waiting.append(pool.submit(ask, call))
                    if len(waiting) == self._connection.concurrency:
                        yield oldest()
                while waiting:
                    yield oldest()
            finally:  # one has failed, or nobody wants the rest
                stop.set()
                for future in waiting:
                    future.cancel()

    def _ask(self, call: Call, read: Callable[[httpx.Response], T], stop: threading.Event | None = None) -> T:
        return self._run(exchange(call, self._connection.retries, read), stop or threading.Event())

    def _run(self, conversation: Conversation[T], stop: threading.Event) -> T:
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    if stop.wait(step.seconds):
                        raise ServerError("another request of the same list has failed")
                    step = conversation.send(None)
                else:
                    step = conversation.send(self._send(step))
        except StopIteration as end:
            value: T = end.value
            return value

    def _send(self, call: Call) -> httpx.Response | Exception:
        try:
            return self._client.request(**self._connection.request(call))
        except self._httpx.RequestError as error:
            return error
