"""Pictures that differ in everything a request may choose, drawn as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.arguments import check_psi, floats
from runtime.errors import InputError
from runtime.generator import Cutoff, Generator
from runtime.manifest import NoiseMode
from runtime.mixing import check_mask
from runtime.noise import Noise, batched_noise, check_seed, check_whole, noise_arrays
from runtime.transforms import check_transform
from runtime.truncation import towards_mean

BOTH = "pixels and image"
"""An output of one drawing that has both."""


@dataclass(frozen=True)
class Source:
    """One style: a latent `z` [z_dim] with its label `c` [c_dim], or what came of one, `ws` [num_ws, w_dim]."""

    z: np.ndarray | None = None
    c: np.ndarray | None = None
    ws: np.ndarray | None = None


@dataclass(frozen=True)
class Edit:
    """`amount` times a direction, [w_dim] or [num_ws, w_dim], added to `rows` of the truncated and mixed styles."""

    direction: np.ndarray
    amount: float
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """All that one image is made of.

    `psi` is a factor for the first `cutoff` rows, or [num_ws], one for each row whatever `cutoff` says. `mask`
    [num_ws, K] mixes the K sources (None: one source, or those that the bundle's own mask mixes). `noise` is "const",
    "none", a seed, or one array [1, 1, H, W] a noisy layer; `transform` is [1, 3, 3].
    """

    sources: tuple[Source, ...]
    psi: float | np.ndarray = 1.0
    cutoff: Cutoff = "own"
    mask: np.ndarray | None = None
    edits: tuple[Edit, ...] = ()
    noise: Noise = "const"
    transform: np.ndarray | None = None


@dataclass(frozen=True)
class Styled:
    """A picture whose styles are given: `styles` [K, w_dim] as the synthesis graph takes them."""

    styles: np.ndarray
    noise: Noise = "const"
    transform: np.ndarray | None = None


def check_picture(generator: Generator, picture: Picture) -> None:
    """Raise InputError where a picture can't be drawn, so that it never stands in a batch with others."""
    spec = generator.spec
    if picture.mask is not None:
        if _mixes(generator):
            raise InputError("this bundle was exported with --mix, so its mask is fixed; leave mix out")
        check_mask(picture.mask, spec.num_ws)
    expected = generator.seeds_per_image if picture.mask is None else picture.mask.shape[-1]
    if len(picture.sources) != expected:
        raise InputError(f"{len(picture.sources)} latents given for an image, expected {expected}: one a mixing source")
    for source in picture.sources:
        _check_source(generator, source)
    _check_truncation(generator, picture.psi, picture.cutoff)
    for edit in picture.edits:
        _check_edit(generator, edit)
    _check_surroundings(generator, picture.noise, picture.transform)


def check_styled(generator: Generator, item: Styled) -> None:
    """The same for given styles."""
    floats("styles", item.styles, (generator.sources, generator.spec.w_dim))
    _check_surroundings(generator, item.noise, item.transform)


def _mixes(generator: Generator) -> bool:
    """Whether the bundle's graph mixes sources: rows share their style, and a mask of one's own can't apply."""
    return not generator.bundle.manifest.options.identity_mask


def _check_truncation(generator: Generator, psi: float | np.ndarray, cutoff: Cutoff) -> None:
    if isinstance(psi, np.ndarray):
        for factor in floats("psi", psi, (generator.spec.num_ws,)):
            check_psi(factor)
        if _mixes(generator):
            _source_factors(generator, psi)
        return
    generator.check_truncation(psi, cutoff)


def _source_factors(generator: Generator, psi: np.ndarray) -> np.ndarray:
    """The factor [K, 1] of each source that the graph mixes, of those of the rows [num_ws] that it has a part in."""
    factors = []
    for source, column in enumerate(generator.bundle.mask.matrix.T):
        rows = np.flatnonzero(column)
        shared = psi[rows] if len(rows) else np.ones(1, np.float32)
        if (shared != shared[0]).any():
            raise InputError(
                f"psi differs between rows {rows[0]} and {rows[np.argmax(shared != shared[0])]}, which share source "
                f"{source} of the mask that this bundle was exported with; give all rows of a source the same factor"
            )
        factors.append(shared[0])
    return np.array(factors, np.float32)[:, None]


def _check_source(generator: Generator, source: Source) -> None:
    spec = generator.spec
    if source.ws is not None:
        if _mixes(generator) and len(np.unique(source.ws, axis=0)) > 1:
            raise InputError("this bundle was exported with --mix, so its sources are w of one row; give w [w_dim]")
        floats("w", source.ws, (spec.num_ws, spec.w_dim))
        return
    floats("z", source.z, (spec.z_dim,))
    if spec.c_dim and source.c is None:
        raise InputError(f"this generator is conditional: give a class, 0 to {spec.c_dim - 1}")
    if not spec.c_dim and source.c is not None:
        raise InputError("a class was given, but this generator is unconditional: leave it out")
    if source.c is not None:
        floats("c", source.c, (spec.c_dim,))


def _check_edit(generator: Generator, edit: Edit) -> None:
    spec = generator.spec
    check_psi(edit.amount, "the amount of an edit")
    shape = (spec.w_dim,) if edit.direction.ndim == 1 else (spec.num_ws, spec.w_dim)
    floats("direction", edit.direction, shape)
    wrong = [row for row in edit.rows if not 0 <= row < spec.num_ws]
    if wrong:
        raise InputError(f"style row {wrong[0]} is out of range, expected 0 to {spec.num_ws - 1}")
    if _mixes(generator) and (edit.direction.ndim == 2 or len(edit.rows) != spec.num_ws):
        raise InputError("this bundle was exported with --mix, so an edit takes all rows alike; leave layers out")


def _check_surroundings(generator: Generator, noise: Noise, transform: np.ndarray | None) -> None:
    generator.check_noise(noise)
    if isinstance(noise, int):
        check_seed(check_whole("noise", noise))
    elif not isinstance(noise, str):
        noise_arrays(generator.spec, noise, None)
    elif noise not in ("const", "none"):
        raise InputError(f"noise is {noise[:40]!r}, expected const, none or a seed")
    if transform is not None:
        if not generator.spec.takes_transform:
            raise InputError(f"{generator.spec.generation.value} can't be rotated or translated: leave both out")
        check_transform(transform, 1)


def draw_pictures(generator: Generator, pictures: Sequence[Picture], output: str = "pixels") -> list[Any]:
    """Draw pictures that `check_picture` let pass, in order.

    Each is "pixels" [H, W, C], "image" [C, H, W], or for `BOTH` the two of them, drawn once.
    """
    styles = styles_of(generator, pictures)
    return draw_styled(generator, [Styled(row, p.noise, p.transform) for row, p in zip(styles, pictures)], output)


def draw_styled(generator: Generator, items: Sequence[Styled], output: str = "pixels") -> list[Any]:
    """The same for given styles."""
    styles = np.stack([item.styles for item in items])
    noise = _batch_noise(generator, [item.noise for item in items])
    transform = _batch_transform(generator, [item.transform for item in items])
    if output == BOTH:
        return list(zip(*generator.synthesize_outputs(styles, noise, ("pixels", "image"), len(items), transform)))
    return list(generator.synthesize(styles, noise, output, batch=len(items), transform=transform))


def styles_of(generator: Generator, pictures: Sequence[Picture]) -> np.ndarray:
    """Styles [N, K, w_dim] for synthesis: all latents mapped together, then truncated, mixed and edited by picture."""
    latents = [source for picture in pictures for source in picture.sources if source.ws is None]
    mapped = iter(_map(generator, latents))
    rows = []
    for picture in pictures:
        ws = [next(mapped) if source.ws is None else source.ws for source in picture.sources]
        rows.append(_styles(generator, picture, ws))
    return np.stack(rows)


def _map(generator: Generator, latents: Sequence[Source]) -> list[np.ndarray]:
    """`w` [w_dim] of each latent; one that stands twice is mapped once."""
    if not latents:
        return []
    keys = [key_of(source) for source in latents]
    once = dict(zip(keys, latents))
    z = np.stack([source.z for source in once.values() if source.z is not None])
    c = np.stack([source.c for source in once.values() if source.c is not None]) if generator.spec.c_dim else None
    w = dict(zip(once, generator.map(z, c)))
    return [w[key] for key in keys]


def key_of(source: Source) -> tuple[bytes, ...]:
    """What tells a latent with its label from others."""
    return tuple(array.tobytes() for array in (source.z, source.c) if array is not None)


def _styles(generator: Generator, picture: Picture, ws: Sequence[np.ndarray]) -> np.ndarray:
    if _mixes(generator):
        single = np.stack([w if w.ndim == 1 else w[0] for w in ws])
        if isinstance(picture.psi, np.ndarray):
            styles = towards_mean(single, generator.bundle.w_avg, _source_factors(generator, picture.psi))
        else:
            styles = generator.styles(single, picture.psi, picture.cutoff)[0]
        every = tuple(range(len(styles)))
        return _edited(styles, [Edit(edit.direction, edit.amount, every) for edit in picture.edits])
    truncated = [_truncate(generator, w, picture.psi, picture.cutoff) for w in ws]
    mixed = truncated[0] if picture.mask is None else generator.mix([item[None] for item in truncated], picture.mask)[0]
    return _edited(mixed, picture.edits)


def _truncate(generator: Generator, w: np.ndarray, psi: float | np.ndarray, cutoff: Cutoff) -> np.ndarray:
    """`w` [w_dim] or [num_ws, w_dim] -> truncated [num_ws, w_dim]."""
    spec = generator.spec
    ws = np.array(np.broadcast_to(w, (spec.num_ws, spec.w_dim)), np.float32)
    if isinstance(psi, np.ndarray):
        return towards_mean(ws, generator.bundle.w_avg, psi[:, None])
    rows = generator.check_truncation(psi, cutoff)
    ws[:rows] = towards_mean(ws[:rows], generator.bundle.w_avg, psi)
    return ws


def _edited(styles: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    for edit in edits:
        rows = list(edit.rows)
        direction = edit.direction if edit.direction.ndim == 1 else edit.direction[rows]
        styles[rows] += np.float32(edit.amount) * direction
    return styles


def _batch_noise(generator: Generator, noises: Sequence[Noise]) -> Noise:
    """A word or seed that all share, as it is; else the noise of each, one behind the other."""
    words = [noise for noise in noises if isinstance(noise, (str, int))]
    alike = len(words) == len(noises) and len(set(words)) == 1
    if alike or generator.bundle.manifest.options.noise is not NoiseMode.EXPLICIT:
        return noises[0]
    stored = generator.bundle.stored_noise
    return batched_noise([noise_arrays(generator.spec, noise, stored) for noise in noises])


def _batch_transform(generator: Generator, transforms: Sequence[np.ndarray | None]) -> Any:
    if all(transform is None for transform in transforms):
        return None
    stored = generator.bundle.stored_transform
    return np.concatenate([check_transform(stored if item is None else item, 1) for item in transforms])
