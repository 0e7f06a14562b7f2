"""A real server in a thread, for tests that ask as a browser or a script asks."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from runtime import Bundle
from runtime.bundle import DIRECTIONS
from runtime.files import sha256_of_path
from runtime.manifest import MANIFEST, FileInfo
from runtime.server.app import create_app
from runtime.server.models import ModelSource
from runtime.server.run import Listening
from runtime.server.settings import Settings

START_SECONDS = 20
"""A server that does not listen by then never will."""


@dataclass(frozen=True)
class Served:
    """A server that runs, and its address."""

    address: str
    token: str | None = None

    def ask(self, path: str, body: dict[str, Any] | None = None, accept: str = "*/*") -> bytes:
        """The body of an answer, GET unless there is something to send."""
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return bytes(answer.read())

    def pixels(self, body: dict[str, Any], side: int = 16) -> np.ndarray:
        """One image of `/v1/generate`, uint8 [H, W, C], as it was drawn."""
        raw = self.ask("/v1/generate", body, "application/octet-stream")
        return np.frombuffer(raw, np.uint8).reshape(side, side, -1)

    def code(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of `/v1/code`."""
        answer: dict[str, Any] = json.loads(self.ask("/v1/code", body))
        return answer


@contextlib.contextmanager
def serving(*sources: ModelSource, token: str | None = None, port: int = 0) -> Iterator[Served]:
    """Serve bundles on a free port until the block ends."""
    tokens = frozenset() if token is None else frozenset({token})
    listening = Listening(port=port)
    with listening.bind() as taken:
        app = create_app(Settings(sources, tokens=tokens, reload_seconds=0))
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        until = time.monotonic() + START_SECONDS
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        try:
            yield Served(listening.address(taken), token)
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


def with_directions(bundle: Bundle, folder: Path, directions: dict[str, np.ndarray]) -> Bundle:
    """A copy of a bundle that has directions."""
    shutil.copytree(bundle.path, folder)
    path = folder / DIRECTIONS
    np.savez(path, **directions)  # type: ignore[arg-type]
    info = FileInfo(sha256_of_path(path), path.stat().st_size)
    manifest = replace(bundle.manifest, files={**bundle.manifest.files, DIRECTIONS: info})
    (folder / MANIFEST).write_text(manifest.to_text())
    return Bundle(folder)
