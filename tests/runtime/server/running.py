"""A real server on a free port, in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from runtime import Bundle
from runtime.server.app import create_app
from runtime.server.models import ModelSource
from runtime.server.run import Listening
from runtime.server.service import Service
from runtime.server.settings import Settings

START_SECONDS = 20


@dataclass(frozen=True)
class Running:
    """Its address, what it shares, and a client that keeps its connections."""

    url: str
    service: Service
    client: httpx.Client

    def generate(self, accept: str = "*/*", **parameters: Any) -> httpx.Response:
        return self.client.post("/v1/generate", json=parameters, headers={"accept": accept})


@contextmanager
def running(bundles: dict[str, Bundle] | Sequence[ModelSource], **settings: Any) -> Iterator[Running]:
    """Serve bundles by name until the block ends."""
    if isinstance(bundles, dict):
        bundles = [ModelSource(name, bundle.path, threads=1) for name, bundle in bundles.items()]
    with Listening(port=0).bind() as taken:
        app = create_app(Settings(tuple(bundles), **settings))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert thread.is_alive(), "the server ended as it began"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                yield Running(url, app.state.service, client)
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
            assert not thread.is_alive(), "the server did not end"
