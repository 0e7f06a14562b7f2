"""The Ray Serve application: replicas that draw, and the ingress before them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from runtime.cluster.ingress import BusyError, LostError, create_ingress
from runtime.cluster.messages import Answered, Asked
from runtime.cluster.replica import Replica
from runtime.cluster.settings import INGRESS_CPUS, ClusterSettings
from runtime.server.logs import log_as_json

ONGOING_FACTOR = 2
"""Requests that a replica takes at a time, of those at which another is started: more wait in the ingress, for it."""
MAX_INGRESS_ONGOING = 4096
"""Requests and streams that one ingress replica holds at a time."""
HEALTH_SECONDS = 2.0
"""Between two looks at a replica's health."""
CONSTRUCTOR_RETRIES = 3
"""Times that a replica which can't load its bundles is started again, before the deployment counts as failed."""


def build(arguments: Mapping[str, Any]) -> serve.Application:
    """The application, of `ClusterSettings.document`: what configuration files name as its import path."""
    settings = ClusterSettings.of(arguments)
    document = settings.document()
    replicas = serve.deployment(RayReplica).options(name="Replica", **_replica_options(settings)).bind(document)
    return serve.deployment(Ingress).options(name="Ingress", **_ingress_options(settings)).bind(document, replicas)


def _replica_options(settings: ClusterSettings) -> dict[str, Any]:
    fixed = settings.min_replicas == settings.max_replicas
    scale: dict[str, Any] = {"num_replicas": settings.min_replicas}
    if not fixed:
        scale = {
            "autoscaling_config": {
                "min_replicas": settings.min_replicas,
                "max_replicas": settings.max_replicas,
                "target_ongoing_requests": settings.target_ongoing,
            }
        }
    return scale | {
        "ray_actor_options": {"num_cpus": settings.cpus, "num_gpus": settings.gpus},
        "max_ongoing_requests": ONGOING_FACTOR * settings.target_ongoing,
        "max_queued_requests": settings.limits.max_queue,
        "health_check_period_s": HEALTH_SECONDS,
        "graceful_shutdown_timeout_s": settings.limits.request_seconds,
        "logging_config": {"enable_access_log": False},  # the server writes its own
        "max_constructor_retry_count": CONSTRUCTOR_RETRIES,
    }


def _ingress_options(settings: ClusterSettings) -> dict[str, Any]:
    return {
        "num_replicas": settings.ingress_replicas,
        "ray_actor_options": {"num_cpus": INGRESS_CPUS},
        "max_ongoing_requests": MAX_INGRESS_ONGOING,
        "graceful_shutdown_timeout_s": settings.limits.request_seconds,
        "health_check_period_s": HEALTH_SECONDS,
        "logging_config": {"enable_access_log": False},
    }


class RayReplica(Replica):
    """A replica as Ray begins and ends it: it awaits both of these."""

    async def __init__(self, document: dict[str, Any]) -> None:  # type: ignore[misc]
        log_as_json()
        super().__init__(ClusterSettings.of(document))
        await self.start()

    async def __del__(self) -> None:
        await self.close()


class _Handles:
    """The replicas behind Ray's handle, which chooses the one with fewer requests of two."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def answer(self, asked: Asked) -> Answered:
        """An HTTP request's answer."""
        return await _outcome(self._handle.answer.remote(asked))

    async def frame(self, message: str) -> list[str | bytes]:
        """What a message of a stream is answered with."""
        return await _outcome(self._handle.frame.remote(message))


async def _outcome(response: Any) -> Any:
    """What a call returns. Raises LostError and BusyError, and what the replica raised."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # so that the replica draws for nobody who has left
        raise
    except BackPressureError as error:
        raise BusyError(str(error)) from None
    except (DeploymentUnavailableError, ReplicaUnavailableError) as error:
        raise LostError(str(error)) from None
    except (RayTaskError, TaskCancelledError):  # the replica lives, and has failed
        raise
    except RayError as error:  # died, left, or its answer was lost with its machine
        raise LostError(f"{type(error).__name__}: {error}") from None


class _Entrance:
    """The ASGI application that Ray is told of; the real one needs the replicas, and so the instance below."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await serve.get_replica_context().servable_object.application(scope, receive, send)
            return
        kind = ""
        while kind != "lifespan.shutdown":
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})


@serve.ingress(_Entrance())
class Ingress:
    """One process of the ingress."""

    def __init__(self, document: dict[str, Any], replicas: Any) -> None:
        self.application = create_ingress(ClusterSettings.of(document), _Handles(replicas))
