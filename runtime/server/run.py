"""A server in this process: uvicorn around the application, until it is told to end."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from runtime.errors import InputError
from runtime.server.app import create_app
from runtime.server.logs import log_as_json
from runtime.server.service import Service
from runtime.server.settings import Settings
from runtime.server.stream import MAX_MESSAGE

BACKLOG = 1024
"""Connections that the system holds until they are accepted."""
DRAIN_SECONDS = 30
"""How long requests may take to end once the server was told to: what orchestrators wait before they kill."""


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and its certificate where it speaks TLS. Port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    key: Path | None = None
    drain_seconds: int = DRAIN_SECONDS

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
        """Take the address. Raises InputError where that can't be."""
        taken = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((self.host, self.port))
        except OSError as error:
            taken.close()
            reason = error.strerror or str(error)
            raise InputError(f"can't listen on {self.host} port {self.port} ({reason}); choose another") from None
        return taken

    def address(self, taken: socket.socket) -> str:
        """The address of a socket that `bind` returned, for people to open."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.certificate is None else 'https'}://{host}:{taken.getsockname()[1]}"


def serve(settings: Settings, listening: Listening, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then take no more requests, finish those there are, and return.

    `ready(address)` is called once the server can be asked there. Raises what `create_app` and `bind` raise.
    """
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
            _Server(config, service, lambda: ready and ready(listening.address(taken))).run(sockets=[taken])
        finally:
            service.close()


class _Server(uvicorn.Server):
    """uvicorn, which tells when it is ready, and that it is no longer as soon as a signal comes."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], Any]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again at the end: a server that was told to end has done well.
        self._service.draining = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
