"""A proxy before a real server that fails as told: what a network and a busy server do to a client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


@dataclass
class Troubled:
    """Its address, what it will do to the next requests (then it passes them on), and what it was asked."""

    url: str = ""
    plan: list[str] = field(default_factory=list)
    retry_after: str | None = None
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    state: Troubled
    real: str

    def do_GET(self) -> None:
        self.state.asked.append(self.path)
        self.state.times.append(time.monotonic())
        trouble = self.state.plan.pop(0) if self.state.plan else "none"
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if trouble == "drop":
            self.close_connection = True
        elif trouble == "hang":
            time.sleep(0.6)
            self.close_connection = True
        elif trouble.isdecimal():
            wait = self.state.retry_after
            told = {} if wait is None else {"Retry-After": wait}
            self._answer(int(trouble), told, f'{{"error": "trouble {trouble}"}}'.encode())
        else:
            self._pass_on(body, trouble)

    do_POST = do_GET

    def _pass_on(self, body: bytes, trouble: str) -> None:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        answer = httpx.request(self.command, self.real + self.path, headers=kept, content=body)
        names = ("content-type", "x-image-shape")
        told = {name: answer.headers[name] for name in names if name in answer.headers}
        half = answer.content[: len(answer.content) // 2]
        if trouble == "truncate":  # less than it says
            self._answer(answer.status_code, told, half, len(answer.content))
            self.close_connection = True
        elif trouble == "shorten":  # less than there should be, and says so
            self._answer(answer.status_code, told, half)
        else:
            self._answer(answer.status_code, told, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that has gone is no news here."""


@contextmanager
def troubled(server: str) -> Iterator[Troubled]:
    """Run one before the server at an address."""
    state = Troubled()
    handler = type("Handler", (_Handler,), {"state": state, "real": server})
    with _Server(("127.0.0.1", 0), handler) as proxy:
        state.url = f"http://127.0.0.1:{proxy.server_address[1]}"
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        proxy.shutdown()
        thread.join()
