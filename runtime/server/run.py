"""A server in this process: uvicorn around the application, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from runtime.errors import InputError
from runtime.extras import require
from runtime.server.app import create_app
from runtime.server.inference.models import InferenceModels
from runtime.server.logs import log_as_json
from runtime.server.service import Service
from runtime.server.settings import Settings
from runtime.server.stream import MAX_MESSAGE

if TYPE_CHECKING:
    from runtime.server.inference.grpc import GrpcServer

BACKLOG = 1024
"""Connections that the system holds until they are accepted."""
DRAIN_SECONDS = 30
"""How long requests may take to end once the server was told to: what orchestrators wait before they kill."""


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and its certificate where it speaks TLS. Port 0 is any that is free.

    `grpc_port` is the port of gRPC at the same host; None: it is not spoken.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    key: Path | None = None
    drain_seconds: int = DRAIN_SECONDS
    grpc_port: int | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InputError("TLS needs both a certificate and its key: give --ssl-certfile and --ssl-keyfile")
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                raise InputError(f"{path}: no such file, expected a PEM file for TLS")
        if self.certificate is not None:
            self._check_certificate()

    def _check_certificate(self) -> None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(str(self.certificate), str(self.key))
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"{self.certificate} and {self.key} are not a certificate and its key ({reason})"
            ) from None

    def bind(self) -> socket.socket:
        """Take the address, and see that gRPC's is free. Raises InputError where that can't be."""
        if self.grpc_port is not None:
            self._bind(self.grpc_port).close()
        return self._bind(self.port)

    def _bind(self, port: int) -> socket.socket:
        taken = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((self.host, port))
        except OSError as error:
            taken.close()
            reason = error.strerror or str(error)
            raise InputError(f"can't listen on {self.host} port {port} ({reason}); choose another") from None
        return taken

    def address(self, taken: socket.socket) -> str:
        """The address of a socket that `bind` returned, for people to open."""
        return f"{'http' if self.certificate is None else 'https'}://{self._host}:{taken.getsockname()[1]}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    async def start_grpc(self, server: GrpcServer) -> str:
        """Let gRPC be spoken; its address, for people. Raises InputError where the port was taken meanwhile."""
        pair = None
        if self.certificate is not None and self.key is not None:
            pair = self.certificate.read_bytes(), self.key.read_bytes()
        port = await server.start(f"{self._host}:{self.grpc_port}", pair)
        return f"{'grpc' if pair is None else 'grpcs'}://{self._host}:{port}"


def serve(settings: Settings, listening: Listening, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then take no more requests, finish those there are, and return.

    `ready(address)` is called once the server can be asked there, by HTTP and, where it is spoken, by gRPC.

    Raises what `create_app` and `bind` raise, and MissingDependencyError where gRPC is not installed.
    """
    if listening.grpc_port is not None:
        require("grpc")
        require("tritonclient.grpc")
    with listening.bind() as taken:  # before the bundles are loaded: whoever has the port taken hears it at once
        app = create_app(settings)
        service: Service = app.state.service
        log_as_json()  # from now on: what kept the bundles from being served, the caller tells
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            limit_concurrency=settings.limits.max_connections,
            timeout_graceful_shutdown=listening.drain_seconds,
            ssl_certfile=listening.certificate,
            ssl_keyfile=listening.key,
            ws_max_size=MAX_MESSAGE,
        )
        try:
            _Server(config, listening, app.state.inference, ready or (lambda _: None)).run(sockets=[taken])
        finally:
            service.close()


class _Server(uvicorn.Server):
    """uvicorn, which tells when it is ready, and that it is no longer as soon as a signal comes."""

    def __init__(
        self, config: uvicorn.Config, listening: Listening, models: InferenceModels, ready: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._listening, self._models, self._service, self._ready = listening, models, models.service, ready
        self._grpc: GrpcServer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit or not sockets:  # its lifespan failed, and was logged
            return
        address = self._listening.address(sockets[0])
        if self._listening.grpc_port is not None:
            from runtime.server.inference.grpc import GrpcServer

            self._grpc = GrpcServer(self._models)
            address = f"{address} and {await self._listening.start_grpc(self._grpc)}"
        self._ready(address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._grpc is not None:  # both drain at the same time, and what draws for them ends after both
            self._service.others.append(asyncio.create_task(self._grpc.stop(self._listening.drain_seconds)))
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again at the end: a server that was told to end has done well.
        self._service.draining = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
