"""What a server answers, read and checked: pixels, files, models, and errors with the server's own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.errors import InputError, ServerError, StyleganEdgeError, quoted

if TYPE_CHECKING:
    import httpx

DEFAULT_IMAGES, DEFAULT_PIXELS = 64, 1 << 26
"""What a server allows of one request where it does not say."""
MAX_TOLD = 200
"""Characters that are shown of an error that is not ours: a proxy's page."""
TOO_MANY = 429


class DamagedAnswerError(ServerError):
    """An answer that is not whole, or not what it says. It is asked for again."""


@dataclass(frozen=True)
class ServedModel:
    """A bundle that is served.

    `classes` is how many there are, 0 where it is unconditional; `max_batch` the images that are drawn together;
    `layer_groups` names style rows.
    """

    name: str
    digest: str
    backend: str
    precision: str
    device: str
    generation: str
    resolution: int
    channels: int
    z_dim: int
    w_dim: int
    num_ws: int
    classes: int
    seeds_per_image: int
    default_psi: float | None
    default_cutoff: int | None
    noise: str
    layer_groups: Mapping[str, list[int]]
    takes_transform: bool
    directions: list[str]
    max_batch: int


@dataclass(frozen=True)
class Served:
    """All models of a server, and what it allows of one request."""

    models: tuple[ServedModel, ...]
    max_images: int = DEFAULT_IMAGES
    max_pixels: int = DEFAULT_PIXELS

    def model(self, name: str | None) -> ServedModel:
        """A model by name, or the only one. Raises InputError."""
        known = ", ".join(model.name for model in self.models)
        if name is None and len(self.models) != 1:
            raise InputError(f"several models are served, so one must be named: model is one of {known}")
        found = [model for model in self.models if name in (None, model.name)]
        if not found:
            raise InputError(f"model {quoted(name)} is not served, expected one of {known}")
        return found[0]


def read_models(answer: httpx.Response) -> Served:
    """What `GET /v1/models` says. Raises DamagedAnswerError."""
    names = [item.name for item in fields(ServedModel)]
    try:
        document = json.loads(answer.content)
        models = tuple(ServedModel(**{name: model[name] for name in names}) for model in document["models"])
        limits = document.get("limits", {})
        return Served(models, int(limits.get("images", DEFAULT_IMAGES)), int(limits.get("pixels", DEFAULT_PIXELS)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedAnswerError(
            f"{answer.url}: the answer is not a list of models ({type(error).__name__}: {error}); "
            "expected a server of stylegan-edge of this release"
        ) from None


def read_pixels(answer: httpx.Response) -> np.ndarray:
    """uint8 [N, H, W, C] of an answer of raw bytes. Raises DamagedAnswerError."""
    told = answer.headers.get("x-image-shape", "")
    try:
        shape = tuple(int(part) for part in told.split(","))
    except ValueError:
        shape = ()
    if len(shape) != 4 or min(shape) < 1 or int(np.prod(shape)) != len(answer.content):
        raise DamagedAnswerError(
            f"{answer.url}: {len(answer.content):,} bytes came, said to be pixels of shape {told[:60]!r}; "
            "expected as many, N,H,W,C"
        )
    return np.frombuffer(answer.content, np.uint8).reshape(shape)


def read_file(answer: httpx.Response) -> bytes:
    """The bytes of an image. Raises DamagedAnswerError where it is none."""
    kind = answer.headers.get("content-type", "")
    if not answer.content or not kind.startswith("image/"):
        raise DamagedAnswerError(f"{answer.url}: {len(answer.content)} bytes of {kind[:60]!r} came, expected an image")
    return answer.content


def refusal(status: int, words: str) -> StyleganEdgeError:
    """An error that a server answered: InputError where the caller can mend it, else ServerError."""
    mendable = 400 <= status < 500 and status != TOO_MANY
    return InputError(words) if mendable else ServerError(f"the server answered {status}: {words}")


def words_of(answer: httpx.Response) -> str:
    """The server's own words, or the first ones of whatever stands before it."""
    try:
        told = json.loads(answer.content)["error"]
    except (ValueError, KeyError, TypeError):
        told = None
    if isinstance(told, str) and told:
        return told
    text = answer.content[:MAX_TOLD].decode("utf-8", "replace").strip()
    return f"{answer.status_code} {answer.reason_phrase} {text}".strip()


def as_document(message: str | bytes) -> dict[str, Any]:
    """A text message of a stream. Raises DamagedAnswerError."""
    try:
        found = json.loads(message)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DamagedAnswerError("the server sent a message that is no JSON object, where one belongs before a frame")
    return found
