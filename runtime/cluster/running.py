"""A cluster of one machine, or an application in one that exists, for as long as this process runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime.cluster.environment import ALONE, ENVIRONMENT
from runtime.cluster.settings import INGRESS_CPUS, ClusterSettings
from runtime.errors import InputError, ServerError
from runtime.extras import require

NAME = "stylegan-edge"
"""Of the application."""
ADDRESS_VARIABLE = "RAY_ADDRESS"
"""Ray's own: the cluster to run in. Unset, one is started here, and ended at the end."""


def run(
    settings: ClusterSettings,
    host: str = "127.0.0.1",
    port: int = 8000,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is being drawn, and return.

    `ready(address)` is called once all replicas answer. Raises MissingDependencyError without Ray, and ServerError
    where the application can't start: the replicas' own words are in the log.
    """
    alone = ADDRESS_VARIABLE not in os.environ
    ray: Any = require("ray")
    for name, value in (ENVIRONMENT | (ALONE if alone else {})).items():
        os.environ.setdefault(name, value)  # before the import that reads them
    serve: Any = require("ray.serve")
    with _told_to_end() as (ended, listen):
        try:
            ray.init(**(_resources(settings) if alone else {}), logging_level="warning", log_to_driver=True)
            listen()  # Ray has put its own in the place of ours, which abort
            serve.start(http_options={"host": host, "port": port})
            _deploy(serve, settings)
            if ready is not None and not ended.is_set():
                ready(f"http://{host}:{port}")
            ended.wait()
        finally:
            serve.shutdown()
            ray.shutdown()


def _deploy(serve: Any, settings: ClusterSettings) -> None:
    from runtime.cluster.application import build

    try:
        serve.run(build(settings.document()), name=NAME)
    except RuntimeError as error:
        raise ServerError(f"the application did not start: {error}") from None


def _resources(settings: ClusterSettings) -> dict[str, Any]:
    """What a cluster of this machine alone is said to have.

    As many cores as all replicas reserve, though they be more than there are: on a desk, they may share.
    """
    needed = settings.max_replicas * settings.cpus + settings.ingress_replicas * INGRESS_CPUS
    cores = max(os.cpu_count() or 1, int(needed) + 1)
    return {"num_cpus": cores, "include_dashboard": False, "address": "local"}


@contextmanager
def _told_to_end() -> Iterator[tuple[threading.Event, Callable[[], None]]]:
    """An event that SIGTERM and SIGINT set, and what makes them do so once more.

    Raises InputError where this is not the main thread, which alone may.
    """
    ended = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        raise InputError("a cluster is run from the main thread, which signals reach")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def listen() -> None:
        for number in before:
            signal.signal(number, lambda *_: ended.set())

    listen()
    try:
        yield ended, listen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
