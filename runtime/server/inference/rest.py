"""The Open Inference Protocol by REST: everything under `/v2`."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from runtime.errors import quoted
from runtime.server.bodies import check_depth, read_body
from runtime.server.errors import BadRequestError, ForeignPageError, NotOfferedError
from runtime.server.inference.asking import LOG_SETTINGS, SHARED_MEMORY, TRACING, without
from runtime.server.inference.documents import Document, Written
from runtime.server.inference.models import LOADING, InferenceModels, apart
from runtime.server.middleware import is_own_page

HEADER_LENGTH = "Inference-Header-Content-Length"
MIN_COMPRESSED = 1024
"""Bytes of the smallest answer that is compressed: below, it saves no packet."""
LEVEL = 1
"""Of compression: pixels and floats hardly get smaller at higher ones, which take several times as long."""
NOT_OFFERED = {
    "/v2/systemsharedmemory/{rest:path}": SHARED_MEMORY,
    "/v2/cudasharedmemory/{rest:path}": SHARED_MEMORY,
    "/v2/trace/setting": TRACING,
    "/v2/models/{name}/trace/setting": TRACING,
    "/v2/logging": LOG_SETTINGS,
}
"""Extensions of Triton's that this server does without."""


def routes(models: InferenceModels) -> list[BaseRoute]:
    """All of it."""
    rest = Rest(models)
    found = [
        Route("/v2", rest.server),
        Route("/v2/health/live", rest.live),
        Route("/v2/health/ready", rest.ready),
        Route("/v2/repository/index", rest.index, methods=["POST"]),
        Route("/v2/repository/models/{name}/{what}", rest.load, methods=["POST"]),
        Route("/v2/models/stats", rest.statistics),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(model, rest.metadata),
            Route(f"{model}/ready", rest.model_ready),
            Route(f"{model}/config", rest.config),
            Route(f"{model}/stats", rest.statistics),
            Route(f"{model}/infer", rest.infer, methods=["POST"]),
        ]
    for path, what in NOT_OFFERED.items():
        found.append(Route(path, _not_offered(what), methods=["GET", "POST"]))
    return list(found)


class Rest:
    """The handlers."""

    def __init__(self, models: InferenceModels) -> None:
        self._models = models
        self._limits = models.service.settings.limits

    async def server(self, _: Request) -> Response:
        """`GET v2`."""
        return JSONResponse(self._models.server())

    async def live(self, _: Request) -> Response:
        """`GET v2/health/live`: 200 while the process answers."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """`GET v2/health/ready`: 200 while images are drawn, else 503 and why not."""
        return self._readiness({})

    async def model_ready(self, request: Request) -> Response:
        """`GET v2/models/NAME/ready`: the same of one model."""
        name = request.path_params["name"]
        with self._models.use(*_named(request)):
            return self._readiness({"name": name})

    async def metadata(self, request: Request) -> Response:
        """`GET v2/models/NAME`."""
        return JSONResponse(self._models.metadata(*_named(request)))

    async def config(self, request: Request) -> Response:
        """`GET v2/models/NAME/config`."""
        return JSONResponse(self._models.config(*_named(request)))

    async def statistics(self, request: Request) -> Response:
        """`GET v2/models/NAME/stats`, and `GET v2/models/stats` of all."""
        return JSONResponse(self._models.counted(*_named(request)))

    async def index(self, request: Request) -> Response:
        """`POST v2/repository/index`."""
        return JSONResponse(self._models.index(await self._only_ready(request)))

    async def load(self, request: Request) -> Response:
        """`POST v2/repository/models/NAME/load` and `unload`: refused, for who asks for images may not change them."""
        raise NotOfferedError(LOADING)

    async def infer(self, request: Request) -> Response:
        """`POST v2/models/NAME/infer`."""
        if not is_own_page(request.headers):  # any type of body is read here, so browsers send it without asking
            raise ForeignPageError("asked by a page of another site; ask from one of this server, or from no page")
        body = await read_body(request, self._limits)
        document = Document(body, request.headers.get(HEADER_LENGTH), self._limits)
        written = await self._models.infer(*_named(request), document, request.state.since, request.receive)
        return await _response(written, request.headers.get("accept-encoding", ""))

    def _readiness(self, told: dict[str, Any]) -> Response:
        trouble = self._models.service.trouble
        if trouble is None:
            return JSONResponse({**told, "ready": True})
        return JSONResponse({**told, "ready": False, "error": trouble}, 503)

    async def _only_ready(self, request: Request) -> bool:
        """Whether the index is to leave out models that are not ready; the body may be left out."""
        body = await read_body(request, self._limits)
        if not body.strip():
            return False
        check_depth(body, self._limits)
        try:
            document = json.loads(body)
        except ValueError:
            raise BadRequestError("the body is not JSON") from None
        ready = document.get("ready", False) if isinstance(document, dict) else document
        if not isinstance(ready, bool):
            raise BadRequestError(f'the body is {quoted(document)}, expected {{"ready": true}} or nothing')
        return ready


def _named(request: Request) -> tuple[str, str]:
    """Name and version of the model that a path names."""
    return request.path_params.get("name", ""), request.path_params.get("version", "")


def _not_offered(what: str):  # type: ignore[no-untyped-def]
    async def refuse(_: Request) -> Response:
        raise without(what)

    return refuse


async def _response(written: Written, accepted: str) -> Response:
    """An answer, compressed where the client reads that and there is something to save."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if written.header is not None:
        headers[HEADER_LENGTH] = str(written.header)
    body, encoding = written.body, _encoding(accepted)
    if encoding is not None and len(body) >= MIN_COMPRESSED:
        headers["Content-Encoding"] = encoding
        body = await apart(len(body), lambda: _compress(written.body, encoding))
    kind = "application/json" if written.header is None else "application/octet-stream"
    return Response(body, headers=headers, media_type=kind)


def _compress(body: bytes, encoding: str) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(body, LEVEL)


def _encoding(accepted: str) -> str | None:
    """The first compression that a client names and that is made here, of those it does not refuse by `q=0`."""
    for item in accepted.split(","):
        name, *settings = (part.strip().lower() for part in item.split(";"))
        refused = any(setting.startswith("q=") and not setting[2:].strip("0.") for setting in settings)
        if name in ("gzip", "deflate") and not refused:
            return name
    return None
