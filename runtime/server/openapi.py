"""The OpenAPI document, made of the very classes that read requests."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from runtime.server.encoding import MEDIA_TYPES, MULTIPART, ZIP
from runtime.server.parameters import GenerateParameters, MixParameters, StreamParameters

_REFERENCES = "#/components/schemas/{model}"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_CODE = {
    "type": "object",
    "properties": {
        "command": {"type": ["string", "null"], "description": "Null where no command line draws it."},
        "python": {"type": "string"},
        "curl": {"type": "string"},
    },
    "required": ["command", "python", "curl"],
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "seed": {"summary": "One image", "value": {"seed": 42, "psi": 0.7}},
    "seeds": {"summary": "Several, as multipart or ZIP", "value": {"seeds": "0-3", "psi": 0.7}},
    "mix": {
        "summary": "The coarse layers of another seed",
        "value": {"seed": 1, "mix": {"seed": 2, "layers": "coarse"}},
    },
    "walk": {"summary": "A third of the way to another seed", "value": {"seed": 1, "mix": {"seed": 2, "weight": 0.33}}},
    "noise": {"summary": "Fresh noise", "value": {"seed": 1, "noise": 7}},
}


def document(version: str) -> dict[str, Any]:
    """The document, OpenAPI 3.1. Its examples run on any bundle of one unconditional latent with noise."""
    kinds = (GenerateParameters, MixParameters, StreamParameters)
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REFERENCES)
    components = schemas["$defs"]
    components["Error"] = {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
        "description": "What was found, what was expected, what to do.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stylegan-edge",
            "version": version,
            "description": "Images of StyleGAN generators. /v2 speaks the Open Inference Protocol, version 2.",
        },
        "paths": _paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _paths() -> dict[str, Any]:
    images = dict.fromkeys((*MEDIA_TYPES.values(), ZIP, MULTIPART), _BINARY)
    return {
        "/v1/generate": {"post": _post("Draw images", "GenerateParameters", _EXAMPLES, images)},
        "/v1/code": {
            "post": _post(
                "The command line, the Python and the curl that draw one image again",
                "GenerateParameters",
                {"seed": _EXAMPLES["seed"], "mix": _EXAMPLES["mix"]},
                {"application/json": {"schema": _CODE}},
            )
        },
        "/v1/mix": {
            "post": _post(
                "Draw a grid that mixes the styles of rows and columns",
                "MixParameters",
                {"grid": {"summary": "Two by two", "value": {"rows": "1-2", "cols": "3-4", "layers": "coarse"}}},
                dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
            )
        },
        "/v1/image/{seed}.{suffix}": {"get": _image()},
        "/v1/models": {"get": _get("What is served", "application/json")},
        "/metrics": {"get": _get("Figures for Prometheus", "text/plain")},
        "/healthz": {"get": _get("Whether the process answers", "text/plain")},
        "/readyz": {
            "get": {**_get("Whether images are drawn", "text/plain"), "responses": _answers({"text/plain": {}})}
        },
    }


def _post(summary: str, schema: str, examples: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    body = {"schema": {"$ref": _REFERENCES.format(model=schema)}, "examples": examples}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": _answers(content),
    }


def _image() -> dict[str, Any]:
    number = {"type": "number"}
    query = {"psi": number, "class": {"type": "integer"}, "cutoff": {"type": "integer"}, "rotate": number}
    query |= {"noise": {"type": "string"}, "translate": {"type": "string"}, "model": {"type": "string"}}
    query |= {"quality": {"type": "integer"}}
    path = [
        {"name": "seed", "in": "path", "required": True, "schema": {"type": "integer"}, "example": 42},
        {
            "name": "suffix",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "enum": ["png", "jpg", "webp"]},
            "example": "png",
        },
    ]
    return {
        "summary": "The image of a seed, with an ETag",
        "parameters": path + [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()],
        "responses": {
            **_answers(dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _BINARY)),
            "304": {"description": "It has not changed."},
        },
    }


def _get(summary: str, media: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "It.", "content": {media: {}}}}}


def _answers(content: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": _REFERENCES.format(model="Error")}}}
    return {
        "200": {"description": "It.", "content": content},
        "4XX": {"description": "The request can't be answered as it is.", "content": error},
        "5XX": {"description": "The server can't answer it now.", "content": error},
    }
