"""`POST /v1/code`: the command line, the Python and the request that draw an image again."""

from __future__ import annotations

import json
import shlex

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.command_line import drawing_options
from runtime.fastest import AUTO
from runtime.server.bodies import read_json
from runtime.server.errors import BadRequestError
from runtime.server.models import Model, ModelSource
from runtime.server.parameters import GenerateParameters, read_parameters
from runtime.server.planning import plan_generate
from runtime.server.python_script import python_script
from runtime.server.service import Service


class Snippets:
    """The handler, over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def code(self, request: Request) -> Response:
        """`{"command": text or null, "python": text, "curl": text}` for the parameters of one image."""
        settings = self._service.settings
        asked: GenerateParameters = read_parameters(GenerateParameters, await read_json(request, settings.limits))
        with self._service.models.use(asked.model) as model:
            pictures = plan_generate(model.generator, asked, settings.limits)
            if len(pictures) != 1:
                raise BadRequestError(f"{len(pictures)} images asked for, expected one to write code for")
            opened = opening(model)
            written = {
                "command": command_line(model, opened, asked),
                "python": python_script(model.generator, _loading(opened), asked, pictures[0]),
                "curl": curl(str(request.base_url), asked, bool(settings.tokens)),
            }
        return JSONResponse(written, headers={"Cache-Control": "no-store"})


def opening(model: Model) -> ModelSource:
    """How to open a model's bundle so that the same draws it: with the precision that was taken, if it was chosen."""
    source = model.source
    precision = model.generator.precision if source.precision == AUTO else source.precision
    return ModelSource(source.name, source.path, source.backend, precision, source.gpu, source.threads)


def command_line(model: Model, opened: ModelSource, asked: GenerateParameters) -> str | None:
    """`stylegan-edge generate ...`; None where it does not draw this image: of a mix, an edit, `z` or `w`."""
    if (asked.seed is None and asked.seeds is None) or asked.mix or asked.edit:
        return None
    cutoff = None if asked.cutoff == "own" else model.generator.spec.num_ws if asked.cutoff is None else asked.cutoff
    x, y = asked.translate or (0.0, 0.0)
    moved = asked.rotate is not None or asked.translate is not None
    drawn = drawing_options(
        asked.psi,
        cutoff,
        the_class(asked),
        None if asked.noise == "const" else asked.noise,
        (asked.rotate or 0.0, x, y) if moved else None,
        opened.precision,
    )
    words = ["stylegan-edge", "generate", str(opened.path), "--seeds", ",".join(map(str, asked.seed_list)), *drawn]
    return shlex.join([*words, *_running(opened), "-o", "images"])


def the_class(asked: GenerateParameters) -> int | None:
    """The class of the one image that is asked for."""
    return asked.class_[0] if isinstance(asked.class_, list) else asked.class_


def curl(base: str, asked: GenerateParameters, token: bool) -> str:
    """The request for a PNG file; a token is taken from the environment, never written out."""
    body = asked.model_dump(by_alias=True, exclude_unset=True, exclude={"format", "quality"})
    words = ["curl", "-fsS", f"{base}v1/generate", "-H", "Content-Type: application/json", "-H", "Accept: image/png"]
    secret = ' -H "Authorization: Bearer $TOKEN"' if token else ""
    return f"{shlex.join(words)}{secret} {shlex.join(['-d', json.dumps(body), '-o', 'image.png'])}"


def _running(opened: ModelSource) -> list[str]:
    """The options of what draws, where they are not the command line's own."""
    default = ModelSource(opened.name, opened.path)
    options: list[str] = []
    for name in ("backend", "gpu", "threads"):
        if getattr(opened, name) != getattr(default, name):
            options += [f"--{name}", str(getattr(opened, name))]
    return options


def _loading(opened: ModelSource) -> str:
    """The call that opens the bundle, in Python."""
    default = ModelSource(opened.name, opened.path)
    given = [_text(str(opened.path))]
    for name in ("backend", "precision", "gpu", "threads"):
        if getattr(opened, name) != getattr(default, name):
            value = getattr(opened, name)
            given.append(f"{name}={_text(value) if isinstance(value, str) else value}")
    return f"Generator.load({', '.join(given)})"


def _text(value: str) -> str:
    """A Python string, in double quotes where that needs no escape."""
    written = repr(value)
    return f'"{written[1:-1]}"' if written.startswith("'") and '"' not in value else written
