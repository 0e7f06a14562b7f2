"""What is asked of a server: requests as plain data, for the blocking client and the one for asyncio alike."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

import numpy as np

from runtime.errors import InputError, quoted

if TYPE_CHECKING:
    from runtime.client.answers import Served, ServedModel

RAW, JSON = "application/octet-stream", "application/json"
MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""Formats of `image`, and what they are called over HTTP."""
BATCHES_A_REQUEST = 4
"""Of a long list, one request takes as many images as this many batches of the model, if the server allows that many:
64 at 64 px, and 4 at 1024 px, where 64 would outlast the time that a server gives a request."""


class Options(TypedDict, total=False):
    """How images are drawn, beside seeds and psi. Each has the meaning and the default of `Generator.generate`.

    `cutoff` is a number of rows, None or "own"; `classes` one class, or one an image; `noise` "const", "none" or a
    seed; `rotate` degrees counter-clockwise and `translate` image widths right and down, of a StyleGAN3; `mix` what is
    blended in, one after the other; `edit` the directions that are added; `model` which bundle, where several are
    served.
    """

    cutoff: int | str | None
    classes: int | Sequence[int] | None
    noise: str | int
    rotate: float | None
    translate: tuple[float, float] | None
    mix: Mix | Sequence[Mix]
    edit: Edit | Sequence[Edit]
    model: str | None


@dataclass(frozen=True)
class Mix:
    """Another style for some rows: of a seed, of `z` [z_dim], or `w` [w_dim] or [num_ws, w_dim].

    `layers` are style rows as "0-6,9", a list, or "coarse", "middle" or "fine"; None: all. `weight` 1 takes the place
    of the image's own, 0.5 meets it half-way.
    """

    seed: int | None = None
    z: Any = None
    w: Any = None
    class_: int | None = None
    layers: str | Sequence[int] | None = None
    weight: float = 1.0

    def document(self) -> dict[str, Any]:
        """As JSON says it."""
        given = {"seed": self.seed, "z": _numbers("z", self.z), "w": _numbers("w", self.w), "class": self.class_}
        named = {"layers": _layers(self.layers), "weight": self.weight}
        return {name: value for name, value in (given | named).items() if value is not None}


@dataclass(frozen=True)
class Edit:
    """`amount` times a direction: the name of one that the bundle has, or [w_dim] or [num_ws, w_dim]."""

    direction: Any
    amount: float
    layers: str | Sequence[int] | None = None

    def document(self) -> dict[str, Any]:
        """As JSON says it."""
        named = isinstance(self.direction, str)
        given = {"direction": self.direction if named else _numbers("direction", self.direction)}
        return given | {"amount": self.amount} | ({"layers": _layers(self.layers)} if self.layers is not None else {})


@dataclass(frozen=True)
class Call:
    """One request. All of ours may be sent again: none changes anything on the server."""

    method: str
    path: str
    accept: str
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Images:
    """What many images are of: seeds, `z` [N, z_dim], or `w` [N, w_dim] or [N, num_ws, w_dim].

    Where the bundle mixes K sources, K in turn make an image. `common` is the rest of the request.
    """

    kind: str
    rows: Sequence[Any] | np.ndarray
    common: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[int] | None = None

    @classmethod
    def of(cls, seeds: Sequence[int] | None, z: Any, w: Any, psi: float, options: Options) -> Images:
        """Of `generate`'s arguments. Raises InputError where not one of the three is given."""
        given = {name: value for name, value in {"seeds": seeds, "z": z, "w": w}.items() if value is not None}
        if len(given) != 1:
            raise InputError(f"{' and '.join(given) or 'nothing to draw is'} given, expected one of seeds, z, w")
        kind, rows = next(iter(given.items()))
        checked = [_seed(seed) for seed in rows] if kind == "seeds" else _array(kind, rows, (2, 3))
        if not len(checked):
            raise InputError("no seed given, expected at least one")
        common = drawing(psi, options)
        classes = common.pop("class") if isinstance(common.get("class"), list) else None
        return cls(kind, checked, common, classes)

    def calls(self, served: Served | None) -> Iterator[Call]:
        """The requests that ask for all of them, in order; one alone where it is not known what the server allows."""
        if served is None:
            yield self._call(0, len(self.rows), 1)
            return
        model = served.model(self.common.get("model"))
        per_image = model.seeds_per_image
        if len(self.rows) % per_image:
            raise InputError(f"{len(self.rows)} latents given, expected a multiple of {per_image}: one a mixing source")
        if self.classes is not None and len(self.classes) * per_image != len(self.rows):
            count = len(self.rows) // per_image
            raise InputError(f"{len(self.classes)} classes given for {count} images, expected one, or one an image")
        size = images_per_request(model, served) * per_image
        for start in range(0, len(self.rows), size):
            yield self._call(start, start + size, per_image)

    def _call(self, start: int, stop: int, per_image: int) -> Call:
        part = self.rows[start:stop]
        document = {**self.common, self.kind: part.tolist() if isinstance(part, np.ndarray) else list(part)}
        if self.classes is not None:
            document["class"] = list(self.classes[start // per_image : stop // per_image])
        return Call("POST", "/v1/generate", RAW, document)


def images_per_request(model: ServedModel, served: Served) -> int:
    """How many images of a model one request asks for."""
    pixels = served.max_pixels // model.resolution**2
    return max(1, min(served.max_images, pixels, BATCHES_A_REQUEST * model.max_batch))


def image_call(seed: int, form: str, quality: int | None, psi: float, options: Options) -> Call:
    """The request for one image as a file."""
    if form not in MEDIA_TYPES:
        raise InputError(f"the format {quoted(form)} is unknown, expected one of {', '.join(MEDIA_TYPES)}")
    document = {**drawing(psi, options), "seed": _seed(seed), "format": form}
    return Call("POST", "/v1/generate", MEDIA_TYPES[form], document | ({"quality": quality} if quality else {}))


def grid_call(
    rows: Sequence[int], cols: Sequence[int], layers: str | Sequence[int] | None, psi: float, options: Options
) -> Call:
    """The request for a grid of mixes."""
    seeds = {"rows": [_seed(seed) for seed in rows], "cols": [_seed(seed) for seed in cols]}
    return Call("POST", "/v1/mix", RAW, {**drawing(psi, options), **seeds, "layers": _layers(layers)})


def models_call() -> Call:
    """The request for what is served."""
    return Call("GET", "/v1/models", JSON)


def drawing(psi: float, options: Options) -> dict[str, Any]:
    """How images are drawn, as JSON says it; what was not given is left to the server."""
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise TypeError(f"unexpected argument {unknown[0]!r}, expected of {', '.join(Options.__annotations__)}")
    given: dict[str, Any] = {"psi": float(psi)}
    for name, value in options.items():
        if name == "classes":
            given["class"] = _class(value)
        elif name in ("mix", "edit"):
            terms: Any = value if isinstance(value, (list, tuple)) else [value]
            given[name] = [term.document() for term in terms]
        elif name == "translate":
            given[name] = None if value is None else [float(part) for part in value]  # type: ignore[attr-defined]
        else:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None or name == "cutoff"}


def check_address(url: str) -> str:
    """The address of a server, without a slash at its end. Raises InputError for anything else."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment:
        raise InputError(f"the address {quoted(url)} is not one of a server, expected like http://127.0.0.1:8000")
    return url.rstrip("/")


def _class(value: Any) -> Any:
    return [int(number) for number in value] if isinstance(value, (Sequence, np.ndarray)) else value


def _seed(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"seed {quoted(value)} is not a whole number") from None


def _layers(layers: str | Sequence[int] | None) -> str | list[int] | None:
    return layers if layers is None or isinstance(layers, str) else [operator.index(row) for row in layers]


def _numbers(name: str, value: Any) -> Any:
    return None if value is None else _array(name, value, (1, 2)).tolist()


def _array(name: str, value: Any, dimensions: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers") from None
    if array.ndim not in dimensions or not np.isfinite(array).all():
        wanted = " or ".join(map(str, dimensions))
        raise InputError(f"{name} has shape {list(array.shape)}, expected {wanted} dimensions of finite numbers")
    return array
