"""A replica: the server's own application in a process that Ray starts, watches and replaces."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from runtime.cluster.messages import Answered, Asked, answer_by
from runtime.cluster.settings import ClusterSettings
from runtime.server.app import create_app
from runtime.server.errors import DrainingError
from runtime.server.logs import log_as_json
from runtime.server.service import Service
from runtime.server.stream import Stream

REPLICA_HEADER = b"x-replica"
"""Says which replica has drawn an answer: its process and node."""


class Replica:
    """What one process of a cluster does. Its methods are called by an ingress, many at a time."""

    async def __init__(self, document: dict[str, Any]) -> None:  # type: ignore[misc]  # Ray awaits it
        """Load the bundles. Raises what `create_app` raises."""
        log_as_json()
        self._app = create_app(ClusterSettings.of(document).server)
        self._service: Service = self._app.state.service
        self._stream = Stream(self._service)
        self._name = f"{os.uname().nodename}:{os.getpid()}".encode()
        self._ending = contextlib.AsyncExitStack()
        await self._ending.enter_async_context(self._app.router.lifespan_context(self._app))

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

    async def __del__(self) -> None:  # Ray awaits it, when all requests have ended
        await self._ending.aclose()
