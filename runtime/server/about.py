"""What a server says of itself: its models, its health, its figures, its interface."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from runtime.server.metrics import CONTENT_TYPE
from runtime.server.middleware import error_response
from runtime.server.models import Model
from runtime.server.openapi import document
from runtime.server.planning import layer_groups
from runtime.server.service import Service


class About:
    """The handlers, over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def healthz(self, _: Request) -> Response:
        """`GET /healthz`: 200 while the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """`GET /readyz`: 200 while images are drawn; 503, and why not, while the server closes or a device fails."""
        trouble = self._service.trouble
        return PlainTextResponse("ready\n") if trouble is None else error_response(trouble, 503)

    async def models(self, _: Request) -> Response:
        """`GET /v1/models`: what is served, what each model takes, and what one request may ask for."""
        described = []
        for name in self._service.models.names:
            with self._service.models.use(name) as model:
                described.append(describe(model))
        limits = self._service.settings.limits
        return JSONResponse({"models": described, "limits": {"images": limits.max_images, "pixels": limits.max_pixels}})

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`: figures for Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def openapi(self, _: Request) -> Response:
        """`GET /openapi.json`: this interface, described."""
        return JSONResponse(document(own_version()))


def describe(model: Model) -> dict[str, Any]:
    """A model as a client needs to know it."""
    spec, generator = model.generator.spec, model.generator
    options = generator.bundle.manifest.options
    return {
        "name": model.source.name,
        "bundle": str(model.source.path),
        "digest": model.digest,
        "backend": generator.backend.value,
        "precision": generator.precision,
        "device": model.device,
        "generation": spec.generation.value,
        "resolution": spec.resolution,
        "channels": spec.img_channels,
        "z_dim": spec.z_dim,
        "w_dim": spec.w_dim,
        "num_ws": spec.num_ws,
        "classes": spec.c_dim,
        "seeds_per_image": generator.seeds_per_image,
        "default_psi": spec.truncation.psi,
        "default_cutoff": spec.default_cutoff,
        "noise": options.noise.value if spec.noise_inputs else "none",
        "layer_groups": layer_groups(spec),
        "takes_transform": spec.takes_transform,
        "directions": list(generator.bundle.directions),
        "max_batch": model.pictures["pixels"].max_batch,
    }


def own_version() -> str:
    """This release's version."""
    try:
        return version("stylegan-edge")
    except PackageNotFoundError:
        return "0"
