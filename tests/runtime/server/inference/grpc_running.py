"""gRPC on a free port, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.server.inference.grpc import GrpcServer
from runtime.server.inference.models import InferenceModels
from runtime.server.service import Service

SECONDS = 20


@contextmanager
def grpc_running(service: Service) -> Iterator[str]:
    """The address, HOST:PORT, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = GrpcServer(InferenceModels(service))
    try:
        port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1:0"), loop).result(SECONDS)
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(SECONDS), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()
