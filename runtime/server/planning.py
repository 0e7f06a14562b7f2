"""From what a request says to pictures that can be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from runtime.errors import InputError
from runtime.generator import Generator
from runtime.images import MAX_SHEET_SIDE
from runtime.latents import parse_numbers
from runtime.server.drawing import Edit, Picture, Source, check_picture
from runtime.server.errors import BadRequestError
from runtime.server.limits import Limits
from runtime.server.parameters import (
    DrawingParameters,
    EditTerm,
    GenerateParameters,
    MixParameters,
    MixTerm,
    numbers,
)
from runtime.spec import Generation, GeneratorSpec
from runtime.transforms import make_transform

COARSE_SIZE, MIDDLE_SIZE = 8, 32
"""Sides up to which a layer's styles are coarse, and middle (A Style-Based Generator Architecture, section 3.1)."""
GROUPS = ("coarse", "middle", "fine")


def layer_groups(spec: GeneratorSpec) -> dict[str, list[int]]:
    """Style rows that are coarse, middle and fine.

    By the side that their layers draw at; StyleGAN3, whose features do not grow out of 4 by 4, is divided in thirds.
    """
    if spec.generation is Generation.STYLEGAN3:
        thirds = np.array_split(np.arange(spec.num_ws), len(GROUPS))
        return {name: rows.tolist() for name, rows in zip(GROUPS, thirds)}
    sizes = {row: min(layer.out_size for layer in spec.layers if layer.style == row) for row in styled_rows(spec)}
    groups: dict[str, list[int]] = {name: [] for name in GROUPS}
    for row, size in sizes.items():
        groups[GROUPS[(size > COARSE_SIZE) + (size > MIDDLE_SIZE)]].append(row)
    return groups


def styled_rows(spec: GeneratorSpec) -> list[int]:
    """The rows of `ws` that a layer takes, in order."""
    return sorted({layer.style for layer in spec.layers if layer.style is not None})


def layer_rows(spec: GeneratorSpec, layers: str | Sequence[int] | None) -> tuple[int, ...]:
    """The rows that `layers` names: `0-6,9`, a list, a group, or None for all. Raises InputError."""
    if layers is None:
        return tuple(range(spec.num_ws))
    if isinstance(layers, str):
        layers = layer_groups(spec)[layers] if layers in GROUPS else parse_numbers(layers, "layer")
    for row in layers:
        if not 0 <= row < spec.num_ws:
            raise InputError(f"layer {row} is out of range, expected 0 to {spec.num_ws - 1}")
    return tuple(dict.fromkeys(layers))


def plan_generate(generator: Generator, asked: GenerateParameters, limits: Limits) -> list[Picture]:
    """One picture an image of a `/v1/generate` request, checked. Raises InputError or BadRequestError."""
    kinds = {name: getattr(asked, name) for name in ("seed", "seeds", "z", "w") if getattr(asked, name) is not None}
    if len(kinds) != 1:
        raise BadRequestError(f"{' and '.join(kinds) or 'nothing to draw is'} given, expected one of seed, seeds, z, w")
    per_image = generator.seeds_per_image
    made = _sources(generator, asked, limits)
    if len(made) % per_image:
        raise InputError(f"{len(made)} latents given, expected a multiple of {per_image}: one a mixing source")
    count = len(made) // per_image
    check_count(generator, count, limits)
    labels = _labels(generator, asked.class_, count)
    terms = asked.mixed
    mask = _mask(generator.spec, terms) if terms else None
    common = _common(generator, asked)
    pictures = []
    for index in range(count):
        label = labels[index] if labels is not None else None
        sources = tuple(_labelled(item, label) for item in made[index * per_image : (index + 1) * per_image])
        others = tuple(_mixed_in(generator, term, label) for term in terms)
        pictures.append(_picture(generator, common, sources + others, mask))
    return pictures


def plan_mix(generator: Generator, asked: MixParameters, limits: Limits) -> tuple[list[Picture], int]:
    """The cells of a grid, row by row without the first, which is empty; and how many columns there are in all."""
    rows, cols = numbers(asked.rows), numbers(asked.cols)
    if generator.seeds_per_image > 1:
        raise InputError("this bundle was exported with --mix, so its mask is fixed; ask another one for a grid")
    if not rows or not cols:
        raise InputError("no seed given, expected at least one row and one column")
    cells = [(None, col) for col in cols] + [
        cell for row in rows for cell in [(row, None), *((row, col) for col in cols)]
    ]
    check_count(generator, len(cells), limits)
    side = max(len(rows), len(cols)) + 1
    if side * generator.spec.resolution > MAX_SHEET_SIDE:
        raise BadRequestError(f"a grid {side} images long is over {MAX_SHEET_SIDE} px; ask for fewer rows or columns")
    if isinstance(asked.class_, list):
        raise InputError("class is a list, expected one for the whole grid")
    labels = _labels(generator, asked.class_, 1)
    label = labels[0] if labels is not None else None
    mask = _mask(generator.spec, [MixTerm(layers=asked.layers)])
    common = _common(generator, asked)
    pictures = []
    for row, col in cells:
        seeds = [seed for seed in (row, col) if seed is not None]
        sources = tuple(Source(generator.latents([seed])[0], label) for seed in seeds)
        pictures.append(_picture(generator, common, sources, mask if len(seeds) > 1 else None))
    return pictures, len(cols) + 1


def check_count(generator: Generator, count: int, limits: Limits) -> None:
    """Raise BadRequestError where a request asks for more images, or more pixels, than one may."""
    if count < 1:
        raise BadRequestError("no seed given, expected at least one")
    if count > limits.max_images:
        raise BadRequestError(f"{count} images asked for, {limits.max_images} is the limit of a request; ask in parts")
    pixels = count * generator.spec.resolution**2
    if pixels > limits.max_pixels:
        raise BadRequestError(f"{pixels:,} pixels asked for, {limits.max_pixels:,} is the limit of a request")


def _sources(generator: Generator, asked: GenerateParameters, limits: Limits) -> list[Source]:
    """The latents or styles asked for, without labels."""
    if asked.seed is not None or asked.seeds is not None:
        seeds = asked.seed_list
        check_count(generator, len(seeds) // generator.seeds_per_image or len(seeds), limits)
        return [Source(row) for row in generator.latents(seeds)]
    if asked.z is not None:
        return [Source(row) for row in _array("z", asked.z, (1, 2))]
    given = _array("w", asked.w, (1, 2, 3))
    return [Source(ws=_styles(generator.spec, row)) for row in given]


def _array(name: str, given: Any, dimensions: tuple[int, ...]) -> np.ndarray:
    """Nested lists as float32, with a first dimension of its own where there was only one."""
    try:
        array = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{name} is ragged: its rows differ in length") from None
    if array.ndim not in dimensions or not array.size:
        raise InputError(f"{name} has shape {list(array.shape)}, expected rows of numbers")
    return array[None] if array.ndim == 1 else array


def _styles(spec: GeneratorSpec, w: np.ndarray) -> np.ndarray:
    if w.shape not in ((spec.w_dim,), (spec.num_ws, spec.w_dim)):
        raise InputError(
            f"w has shape {list(w.shape)} an image, expected [{spec.w_dim}] or [{spec.num_ws}, {spec.w_dim}]"
        )
    return np.array(np.broadcast_to(w, (spec.num_ws, spec.w_dim)))


def _labels(generator: Generator, classes: int | list[int] | None, count: int) -> np.ndarray | None:
    if classes is None:
        return None
    numbers_ = [classes] * count if isinstance(classes, int) else classes
    if len(numbers_) != count:
        raise InputError(f"{len(numbers_)} classes given for {count} images, expected one, or one an image")
    return generator.labels(numbers_)


def _labelled(source: Source, label: np.ndarray | None) -> Source:
    return source if source.z is None else Source(source.z, label)


def _mixed_in(generator: Generator, term: MixTerm, label: np.ndarray | None) -> Source:
    given = [name for name in ("seed", "z", "w") if getattr(term, name) is not None]
    if len(given) != 1:
        raise BadRequestError(f"mix has {' and '.join(given) or 'nothing to mix in'}, expected one of seed, z, w")
    if term.class_ is not None:
        label = generator.labels([term.class_])[0]
    if term.seed is not None:
        return Source(generator.latents([term.seed])[0], label)
    if term.z is not None:
        return Source(_array("mix.z", term.z, (1,))[0], label)
    array = np.asarray(_array("mix.w", term.w, (1, 2)))
    return Source(ws=_styles(generator.spec, array[0] if len(array) == 1 else array))


def _mask(spec: GeneratorSpec, terms: Sequence[MixTerm]) -> np.ndarray:
    """The mask [num_ws, 1 + terms] of blending one term after the other into the image's own style."""
    mask = np.zeros((spec.num_ws, 1 + len(terms)))
    mask[:, 0] = 1
    for column, term in enumerate(terms, 1):
        rows = list(layer_rows(spec, term.layers))
        mask[rows] *= 1 - term.weight
        mask[rows, column] += term.weight
    return mask


def _common(generator: Generator, asked: DrawingParameters) -> Picture:
    """What all images of a request share: a picture without sources."""
    moved = asked.rotate is not None or asked.translate is not None
    x, y = asked.translate or (0.0, 0.0)
    return Picture(
        sources=(),
        psi=asked.psi,
        cutoff=asked.cutoff,
        edits=tuple(_edit(generator, term) for term in asked.edits),
        noise=asked.noise,
        transform=make_transform(asked.rotate or 0.0, (x, y))[None] if moved else None,
    )


def _picture(generator: Generator, common: Picture, sources: tuple[Source, ...], mask: np.ndarray | None) -> Picture:
    picture = replace(common, sources=sources, mask=mask)
    check_picture(generator, picture)
    return picture


def _edit(generator: Generator, term: EditTerm) -> Edit:
    rows = layer_rows(generator.spec, term.layers)
    if not isinstance(term.direction, str):
        given = np.asarray(_array("direction", term.direction, (1, 2)))
        return Edit(given[0] if len(given) == 1 else given, term.amount, rows)
    known = generator.bundle.directions
    if term.direction not in known:
        there = f"expected one of {', '.join(known)}" if known else "this bundle has none: give its numbers"
        raise InputError(f"direction {term.direction[:40]!r} is unknown, {there}")
    return Edit(known[term.direction], term.amount, rows)
