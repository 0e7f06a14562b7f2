"""Servers to ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import uvicorn

from runtime import Bundle, Generator
from runtime.server.app import create_app
from runtime.server.models import ModelSource
from runtime.server.run import Listening
from runtime.server.settings import Settings
from tests.runtime.client.troubled import Troubled, troubled

Serving = Callable[..., AbstractContextManager[str]]


@contextmanager
def serving(bundles: dict[str, Bundle], **settings: Any) -> Iterator[str]:
    """Serve bundles on a free port from a thread; the address."""
    sources = tuple(ModelSource(name, bundle.path, "onnxruntime", threads=1) for name, bundle in bundles.items())
    app = create_app(Settings(sources, reload_seconds=0, **settings))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    listening = Listening(port=0)
    with listening.bind() as taken:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield listening.address(taken)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def server(tiny_bundle: Bundle) -> Iterator[str]:
    """A server of one 16 px bundle, "tiny"."""
    with serving({"tiny": tiny_bundle}) as address:
        yield address


@pytest.fixture
def proxy(server: str) -> Iterator[Troubled]:
    """The same behind a proxy that can fail."""
    with troubled(server) as state:
        yield state


@pytest.fixture(scope="session")
def tiny(tiny_bundle: Bundle) -> Generator:
    """What the server must draw."""
    return Generator.load(tiny_bundle, "onnxruntime", threads=1)
