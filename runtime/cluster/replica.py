"""A replica: the server's own application in a process that Ray starts, watches and replaces."""

from __future__ import annotations

import contextlib
import secrets

from runtime.cluster.messages import Answered, Asked, answer_by
from runtime.cluster.settings import ClusterSettings
from runtime.server.app import create_app
from runtime.server.errors import DrainingError
from runtime.server.service import Service
from runtime.server.stream import Stream

REPLICA_HEADER = b"x-replica"
"""Tells replicas apart, without a word about their machines."""


class Replica:
    """What one process of a cluster does. Its methods are called by an ingress, many at a time."""

    def __init__(self, settings: ClusterSettings) -> None:
        """Load the bundles. Raises what `create_app` raises."""
        self._app = create_app(settings.server)
        self._service: Service = self._app.state.service
        self._stream = Stream(self._service)
        self._name = secrets.token_hex(4).encode()
        self._ending = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Begin to look for replaced bundles."""
        await self._ending.enter_async_context(self._app.router.lifespan_context(self._app))

    async def close(self) -> None:
        """Finish what waits, and free the models."""
        await self._ending.aclose()

    async def answer(self, asked: Asked) -> Answered:
        """An HTTP request's answer. Being cancelled takes its images out of the queue."""
        answered = await answer_by(self._app, asked)
        return Answered(answered.status, (*answered.headers, (REPLICA_HEADER, self._name)), answered.body)

    async def frame(self, message: str) -> list[str | bytes]:
        """What a message of a stream is answered with."""
        return await self._stream.reply(message)

    def check_health(self) -> None:
        """Ray calls it every few seconds, and replaces a replica that raises: one whose device is lost."""
        if self._service.trouble is not None:
            raise DrainingError(self._service.trouble)
