"""`/v1/generate`, `/v1/mix` and `/v1/image/{seed}.png`: pictures in the formats that people open."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from runtime.images import contact_sheet
from runtime.server.bodies import read_json
from runtime.server.drawing import Picture
from runtime.server.encoding import MEDIA_TYPES, SUFFIXES, Answer, Form, choose_form, pack
from runtime.server.errors import BadRequestError, NotFoundError
from runtime.server.models import Model
from runtime.server.parameters import GenerateParameters, MixParameters, read_parameters
from runtime.server.planning import plan_generate, plan_mix
from runtime.server.service import Service

INLINE_VALUES = 1 << 16
"""Values that are encoded at once, in a millisecond, rather than by another thread, which takes a moment to start."""
QUERY_NUMBERS = {"psi": float, "class": int, "cutoff": int, "rotate": float, "quality": int}
"""What the address of an image may say beside its seed, as numbers; `noise`, `model` and `translate` are words."""


class Images:
    """The handlers, over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def generate(self, request: Request) -> Response:
        """`POST /v1/generate`: one image, or several in a container."""
        asked: GenerateParameters = read_parameters(GenerateParameters, await self._document(request))
        with self._service.models.use(asked.model) as model:
            pictures = plan_generate(model.generator, asked, self._service.settings.limits)
            form = choose_form(request.headers.get("accept", "*/*"), len(pictures), asked.format)
            pixels = await self._draw(request, model, pictures)
            names = _names(asked, len(pictures)) if form.container else []
            return _response(await self._pack(pixels, names, form, asked.quality))

    async def mix(self, request: Request) -> Response:
        """`POST /v1/mix`: a grid as one image."""
        asked: MixParameters = read_parameters(MixParameters, await self._document(request))
        form = choose_form(request.headers.get("accept", "*/*"), 1, asked.format)
        with self._service.models.use(asked.model) as model:
            pictures, columns = plan_mix(model.generator, asked, self._service.settings.limits)
            pixels = await self._draw(request, model, pictures)
        corner = np.full_like(pixels[0], 255)  # shows nothing
        sheet = contact_sheet([corner, *pixels], columns)
        return _response(await self._pack([sheet], ["mix"], form, asked.quality))

    async def image(self, request: Request) -> Response:
        """`GET /v1/image/{seed}.png`: the image of a seed, which caches may keep by its ETag."""
        suffix = request.path_params["suffix"]
        form = next((name for name, item in SUFFIXES.items() if suffix in (item, name) and name != "raw"), None)
        if form is None:
            raise NotFoundError(f"no picture ends in .{suffix[:20]}, expected .png, .jpg or .webp")
        document = _of_query(request)
        asked: GenerateParameters = read_parameters(GenerateParameters, document)
        with self._service.models.use(asked.model) as model:
            tag = _tag(model, {**document, "format": form})
            kept = {"ETag": tag, "Cache-Control": f"public, max-age={self._service.settings.cache_seconds}"}
            pictures = plan_generate(model.generator, asked, self._service.settings.limits)
            if _matches(request.headers.get("if-none-match", ""), tag):
                return Response(status_code=304, headers=kept)
            if request.method == "HEAD":
                return Response(headers=kept, media_type=MEDIA_TYPES[form])
            pixels = await self._draw(request, model, pictures)
        return _response(await self._pack(pixels, [], Form(form), asked.quality), kept)

    async def _document(self, request: Request) -> bytes:
        return await read_json(request, self._service.settings.limits)

    async def _draw(self, request: Request, model: Model, pictures: Sequence[Picture]) -> list[np.ndarray]:
        since = request.state.since
        results = await self._service.run(model, model.pictures["pixels"], pictures, request.receive, since)
        self._service.metrics.images.labels(model.source.name).inc(len(pictures))
        return [result.value for result in results]

    async def _pack(self, pixels: Sequence[np.ndarray], names: Sequence[str], form: Form, quality: int) -> Answer:
        start = time.perf_counter()
        if sum(image.size for image in pixels) <= INLINE_VALUES:
            answer = pack(pixels, names, form, quality)
        else:
            answer = await asyncio.to_thread(pack, pixels, names, form, quality)
        self._service.metrics.latency.labels("encode").observe(time.perf_counter() - start)
        return answer


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    added = {"Cache-Control": "no-store", "Vary": "Accept"} if headers is None else headers
    return Response(answer.body, headers={**answer.headers, **added}, media_type=answer.media_type)


def _names(asked: GenerateParameters, count: int) -> list[str]:
    """File names of several images: by seed, as `stylegan-edge generate` names them, or by number."""
    seeds = asked.seed_list
    if not seeds:
        return [f"image{index:04d}" for index in range(count)]
    per_image = len(seeds) // count
    groups = [seeds[start : start + per_image] for start in range(0, len(seeds), per_image)]
    names = ["seed" + "-".join(f"{seed:04d}" for seed in group) for group in groups]
    return names if len(set(names)) == count else [f"{index:04d}-{name}" for index, name in enumerate(names)]


def _of_query(request: Request) -> dict[str, Any]:
    """The parameters that an image's address gives, each once."""
    given: dict[str, Any] = {"seed": request.path_params["seed"]}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise BadRequestError(f"{name} is given twice")
        if name in QUERY_NUMBERS:
            given[name] = _number(name, value)
        elif name == "noise":
            given[name] = int(_number(name, value)) if value not in ("const", "none") else value
        elif name == "translate":
            given[name] = [_number(name, part) for part in value.split(",")]
        elif name == "model":
            given[name] = value
        else:
            known = ", ".join([*QUERY_NUMBERS, "noise", "translate", "model"])
            raise BadRequestError(f"{name[:40]!r} is not known of an image's address, expected {known}")
    return given


def _number(name: str, value: str) -> Any:
    kind = QUERY_NUMBERS.get(name, float if name == "translate" else int)
    try:
        return kind(value)
    except (ValueError, OverflowError):
        raise BadRequestError(f"{name} is {value[:40]!r}, expected a number") from None


def _tag(model: Model, document: dict[str, Any]) -> str:
    """Changes with the bundle, what draws it, and every parameter."""
    drawn = [model.digest, model.generator.backend.value, model.generator.precision, document]
    return f'"{hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:32]}"'


def _matches(header: str, tag: str) -> bool:
    given = [item.strip().removeprefix("W/") for item in header.split(",")]
    return "*" in given or tag in given
