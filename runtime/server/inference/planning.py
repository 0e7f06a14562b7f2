"""From a request's arrays to what a worker draws, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtime.arguments import floats
from runtime.server.drawing import BOTH, Picture, Source, Styled, check_picture, check_styled
from runtime.server.errors import BadRequestError
from runtime.server.inference.interface import IMAGE, LABEL, PIXELS, PSI, SEED, Interface, Part
from runtime.server.limits import Limits
from runtime.server.models import Model
from runtime.server.worker import Kind, Result
from runtime.spec import TRANSFORM, latent_names, noise_name

Arrays = dict[str, np.ndarray]


def plan(
    model: Model, interface: Interface, given: Mapping[str, np.ndarray], outputs: Sequence[str], limits: Limits
) -> tuple[Kind, list[Any]]:
    """The kind of task and an item an image, of inputs [N or 1, ...] that `interface` knows.

    Raises BadRequestError, and InputError where a value is out of its range.
    """
    rows = _rows(interface, given)
    count = _count(interface, rows, interface.max_images(model, limits))
    arrays = {name: np.broadcast_to(array, (count, *array.shape[1:])) for name, array in rows.items()}
    if interface.part is Part.MAPPING:
        return model.mapping, _latents(model, arrays, count)
    drawn = BOTH if len(outputs) > 1 else outputs[0]
    if interface.part is Part.SYNTHESIS:
        return model.styled[drawn], _styled(model, arrays, count)
    return model.pictures[drawn], _pictures(model, arrays, count)


def gather(interface: Interface, outputs: Sequence[str], results: Sequence[Result]) -> Arrays:
    """The outputs [N, ...] by name."""
    values = [result.value for result in results]
    if len(outputs) == 1:
        return {outputs[0]: np.stack(values)}
    assert set(outputs) == {PIXELS, IMAGE}, interface.name
    pixels, images = zip(*values)
    return {PIXELS: np.stack(pixels), IMAGE: np.stack(images)}


def _rows(interface: Interface, given: Mapping[str, np.ndarray]) -> Arrays:
    """The inputs, checked for shape: float32, and int64 for seeds."""
    arrays = {}
    for tensor in interface.inputs:
        if tensor.name not in given:
            continue
        array = given[tensor.name]
        if array.ndim != 1 + len(tensor.dims) or array.shape[1:] != tensor.dims or not len(array):
            raise BadRequestError(f"{tensor.name} has shape {list(array.shape)}, expected {tensor.shape}")
        with np.errstate(over="ignore"):  # infinity then, which is refused
            arrays[tensor.name] = array if tensor.name == SEED else array.astype(np.float32)
    return arrays


def _count(interface: Interface, arrays: Arrays, limit: int) -> int:
    """N: all inputs are for as many images, or for one, which then holds for all."""
    missing = [item.name for item in interface.inputs if not item.optional and item.name not in arrays]
    if SEED in arrays:
        drawn = [name for name in arrays if name == "z" or name.startswith("z_")]
        if drawn:
            raise BadRequestError(f"{SEED} and {drawn[0]} are given, expected one of them")
        missing = [name for name in missing if name == LABEL]
    if missing:
        instead = f", or {SEED}" if interface.part is Part.WHOLE and missing[0] != LABEL else ""
        raise BadRequestError(f"{missing[0]} is missing, an input of {interface.name}; give it{instead}")
    counts = {name: len(array) for name, array in arrays.items()}
    most = max(counts, key=lambda name: counts[name])
    for name, count in counts.items():
        if count not in (1, counts[most]):
            raise BadRequestError(f"{name} is for {count} images, {most} for {counts[most]}; expected as many, or 1")
    if counts[most] > limit:
        raise BadRequestError(f"{counts[most]} images asked for, {limit} is the limit of a request; ask in parts")
    return counts[most]


def _latents(model: Model, arrays: Arrays, count: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    for name, array in arrays.items():
        floats(name, array, (None, *array.shape[1:]))
    label = arrays.get(LABEL)
    return [(arrays["z"][index], None if label is None else label[index]) for index in range(count)]


def _pictures(model: Model, arrays: Arrays, count: int) -> list[Picture]:
    generator = model.generator
    names = latent_names(generator.seeds_per_image)
    if SEED in arrays:
        latents = generator.latents(arrays[SEED].ravel().tolist()).reshape(count, len(names), -1)
    else:
        latents = np.stack([arrays[name] for name in names], axis=1)  # [N, K, z_dim]
    label, psi = arrays.get(LABEL), arrays.get(PSI)
    pictures = []
    for index in range(count):
        c = None if label is None else label[index]
        picture = Picture(
            tuple(Source(z, c) for z in latents[index]),
            psi=1.0 if psi is None else psi[index],
            **_surroundings(model, arrays, index),
        )
        check_picture(generator, picture)
        pictures.append(picture)
    return pictures


def _styled(model: Model, arrays: Arrays, count: int) -> list[Styled]:
    items = [Styled(arrays["styles"][index], **_surroundings(model, arrays, index)) for index in range(count)]
    for item in items:
        check_styled(model.generator, item)
    return items


def _surroundings(model: Model, arrays: Arrays, index: int) -> dict[str, Any]:
    """Noise and transform of an image: what is not given is the checkpoint's own."""
    own = model.generator.own_noise
    names = [noise_name(number) for number in range(len(model.generator.spec.noise_shapes))]
    noise: Any = own
    if any(name in arrays for name in names):
        stored = model.generator.bundle.stored_noise
        noise = [
            arrays[name][index : index + 1] if name in arrays else buffer[None, None]
            for name, buffer in zip(names, stored)
        ]
    transform = arrays.get(TRANSFORM)
    return {"noise": noise, "transform": None if transform is None else transform[index : index + 1]}
