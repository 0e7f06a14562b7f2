"""What requests for images say, as JSON: read, checked and described by pydantic."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.latents import parse_numbers
from runtime.noise import MAX_SEED
from runtime.server.errors import BadRequestError
from runtime.server.faults import first_fault

MAX_TERMS = 16
"""Terms of a mix, and edits of an image: more than a network has style rows that matter."""
DEFAULT_QUALITY = 90
"""Of JPEG and WebP: no artefacts to be seen at arm's length."""
PLACE_DEPTH = 2
"""Names of a wrong value's place that a message shows: behind them stand the kinds that a field may have."""

Item = TypeVar("Item")
Listed = Annotated[list[Item], Field(fail_fast=True)]
"""A list of which the first wrong item is enough: a body has room for millions, each told in a kilobyte."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Vector = Listed[Number]
ClassNumber = Annotated[int, Field(ge=0)]
ImageFormat = Literal["png", "jpeg", "webp", "raw"]
Layers = Annotated[
    str | Listed[int] | None,
    Field(description="Style rows, as '0-6,9', a list, or 'coarse', 'middle' or 'fine'; all where left out."),
]


class Parameters(BaseModel):
    """Base of all: no field but those named, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class MixTerm(Parameters):
    """Another style, blended into some rows: `(1 - weight) * rows + weight * the other's`."""

    seed: Seed | None = None
    z: Vector | None = Field(None, description="Latent [z_dim].")
    w: Vector | Listed[Vector] | None = Field(None, description="Style [w_dim] or [num_ws, w_dim].")
    class_: ClassNumber | None = Field(None, alias="class", description="Its class [default: the image's].")
    layers: Layers = None
    weight: Number = 1.0


class EditTerm(Parameters):
    """`amount` times a direction, added to some rows after truncation and mixing."""

    direction: str | Vector | Listed[Vector] = Field(description="A direction of the bundle by name, or its numbers.")
    amount: Number
    layers: Layers = None


class DrawingParameters(Parameters):
    """How images are drawn, whatever they are of."""

    model: str | None = Field(None, description="Which bundle, where several are served.")
    psi: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = Field(
        1.0, description="Truncation: 0 is the mean image, 1 none."
    )
    cutoff: Annotated[int, Field(ge=0)] | Literal["own"] | None = Field(
        "own", description="Truncate the first rows only; null: all, 'own': as the checkpoint's own code does."
    )
    class_: ClassNumber | Listed[ClassNumber] | None = Field(
        None, alias="class", description="Class of a conditional model: one, or one an image."
    )
    noise: Literal["const", "none"] | Seed = Field("const", description="The checkpoint's own, none, or a seed.")
    rotate: Number | None = Field(None, description="Degrees counter-clockwise, of a StyleGAN3.")
    translate: Annotated[Listed[Number], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Image widths right and down, of a StyleGAN3."
    )
    edit: EditTerm | Annotated[Listed[EditTerm], Field(max_length=MAX_TERMS)] = Field(default_factory=list)
    format: ImageFormat | None = Field(None, description="Of the images; the Accept header may say it as well.")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(DEFAULT_QUALITY, description="Of JPEG and WebP.")

    @property
    def edits(self) -> list[EditTerm]:
        """The edits, in a list where there is one too."""
        return self.edit if isinstance(self.edit, list) else [self.edit]


class GenerateParameters(DrawingParameters):
    """Images of a seed, seeds, latents `z` or styles `w`: one of the four. A mixing bundle takes K an image."""

    seed: Seed | None = None
    seeds: Listed[Seed] | str | None = Field(None, description="A list, or as '0-7,42'.")
    z: Vector | Listed[Vector] | None = Field(None, description="Latents [z_dim] or [N, z_dim].")
    w: Vector | Listed[Vector] | Listed[Listed[Vector]] | None = Field(
        None, description="Styles before truncation, [w_dim], [N, w_dim] or [N, num_ws, w_dim]."
    )
    mix: MixTerm | Annotated[Listed[MixTerm], Field(max_length=MAX_TERMS)] = Field(
        default_factory=list, description="Blended in one after the other."
    )

    @property
    def mixed(self) -> list[MixTerm]:
        """What is blended in, in a list where it is one too."""
        return self.mix if isinstance(self.mix, list) else [self.mix]

    @property
    def seed_list(self) -> list[int]:
        """The seed, or the seeds; none where images are of latents or styles. Raises InputError for a wrong list."""
        return [self.seed] if self.seed is not None else numbers(self.seeds or [])


class MixParameters(DrawingParameters):
    """A grid as `stylegan-edge mix` draws it: each mix takes `layers` from its column's seed."""

    rows: Listed[Seed] | str
    cols: Listed[Seed] | str
    layers: Layers


class StreamParameters(GenerateParameters):
    """One frame of a stream: one image, and a number of the client's own that comes back with it."""

    id: int | None = None


def numbers(given: str | list[int]) -> list[int]:
    """A list of seeds, or the one that a text names. Raises InputError."""
    return parse_numbers(given) if isinstance(given, str) else given


def read_parameters(kind: type[Any], document: bytes | str | dict[str, Any]) -> Any:
    """Parameters of a kind, of JSON text or plain data. Raises BadRequestError, saying which field is wrong and why."""
    try:
        if isinstance(document, dict):
            return kind.model_validate(document)
        return kind.model_validate_json(document)
    except ValidationError as error:
        raise BadRequestError(first_fault(error, PLACE_DEPTH)) from None
