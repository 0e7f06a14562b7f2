"""A script of this library that draws an image again, step by step and to the bit."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np

from runtime.command_line import number
from runtime.generator import Generator
from runtime.server.drawing import Picture, Source, key_of
from runtime.server.parameters import EditTerm, GenerateParameters, MixTerm
from runtime.server.planning import layer_rows

FILE_NAME = "image.png"


def python_script(generator: Generator, loading: str, asked: GenerateParameters, picture: Picture) -> str:
    """The script. `loading` is the call that opens the bundle; `picture` is the one image that `asked` asks for."""
    script = _Script(generator, asked, picture)
    body = [*script.mapped(), *script.styled(), *script.edited(), *script.drawn()]
    lines = [f"with {loading} as generator:", *(f"    {line}" for line in body)]
    lines.append(f'write_png(Path("{FILE_NAME}"), pixels[0], overwrite=True)')
    return "\n".join([*_imports("\n".join(lines)), "", *lines, ""])


def _imports(text: str) -> list[str]:
    """What a script needs to import."""
    lines = ["from pathlib import Path", ""]
    if "np." in text:
        lines += ["import numpy as np", ""]
    lines += ["from runtime import Generator", "from runtime.images import write_png"]
    if "make_transform(" in text:
        lines.append("from runtime.transforms import make_transform")
    if "towards_mean(" in text:
        lines.append("from runtime.truncation import towards_mean")
    return lines


class _Script:
    """The parts of a script, each the lines of one step."""

    def __init__(self, generator: Generator, asked: GenerateParameters, picture: Picture) -> None:
        self._generator, self._asked, self._picture = generator, asked, picture
        self._fixed = generator.seeds_per_image > 1
        self._terms = asked.mixed
        # As the server maps them: a latent that stands twice once. The size of a batch may change the last bit.
        self._latents: dict[tuple[bytes, ...], tuple[Source, int | None]] = {}
        for source, seed in zip(picture.sources, self._seeds()):
            if source.ws is None:
                self._latents.setdefault(key_of(source), (source, seed))

    def mapped(self) -> list[str]:
        """`w` of all latents."""
        if not self._latents:
            return []
        lines = [f"z = {self._written_latents()}"]
        labels = [int(np.argmax(source.c)) for source, _ in self._latents.values() if source.c is not None]
        if labels:
            lines.append(f"c = generator.labels({labels})")
        return [*lines, f"w = generator.map(z{', c' if labels else ''})"]

    def styled(self) -> list[str]:
        """`ws`: truncated, and mixed."""
        count = len(self._picture.sources)
        if self._fixed:
            parts = ", ".join(self._w(index) for index in range(count))
            return [f"ws = generator.styles(np.concatenate([{parts}]){self._truncation(None)})"]
        if self._picture.mask is None:
            return self._truncated(0, "ws")
        lines = [line for index in range(count) for line in self._truncated(index, f"ws_{index}")]
        names = ", ".join(f"ws_{index}" for index in range(count))
        return [*lines, *self._mask(), f"ws = generator.mix([{names}], mask)"]

    def edited(self) -> list[str]:
        """Directions, added."""
        lines = []
        for term, edit in zip(self._asked.edits, self._picture.edits):
            named = isinstance(term.direction, str)
            direction = (
                f"generator.bundle.directions[{json.dumps(term.direction)}]" if named else _array(edit.direction)
            )
            rows = ":" if self._fixed else _rows(self._generator, term)
            part = f"[{rows}]" if edit.direction.ndim == 2 and rows != ":" else ""
            lines.append(f"ws[0, {rows}] += np.float32({number(edit.amount)}) * {direction}{part}")
        return lines

    def drawn(self) -> list[str]:
        """`pixels`."""
        asked = self._asked
        given = [f"noise={json.dumps(asked.noise)}"] if asked.noise != "const" else []
        if self._picture.transform is not None:
            x, y = asked.translate or (0.0, 0.0)
            given.append(f"transform=make_transform({number(asked.rotate or 0.0)}, ({number(x)}, {number(y)}))")
        return [f'pixels = generator.synthesize({", ".join(["ws", *given])}, output="pixels")']

    def _seeds(self) -> list[int | None]:
        """The seed of each source; None where it was given as numbers."""
        none: list[int | None] = [None] * self._generator.seeds_per_image
        return [*(self._asked.seed_list or none), *(term.seed for term in self._terms)]

    def _written_latents(self) -> str:
        """All latents, seeds that follow one another in one call."""
        parts: list[str] = []
        for by_seed, group in groupby(self._latents.values(), lambda item: item[1] is not None):
            items = list(group)
            if by_seed:
                parts.append(f"generator.latents({[seed for _, seed in items]})")
            else:
                parts += [f"{_array(source.z)}[None]" for source, _ in items]
        return parts[0] if len(parts) == 1 else f"np.concatenate([{', '.join(parts)}])"

    def _w(self, index: int) -> str:
        """`w` [1, w_dim] of a source."""
        source = self._picture.sources[index]
        if source.ws is not None:
            return f"{_array(source.ws[0])}[None]"
        place = list(self._latents).index(key_of(source))
        return "w" if len(self._latents) == 1 else f"w[[{place}]]"

    def _truncated(self, index: int, name: str) -> list[str]:
        """Lines that make the truncated styles [1, num_ws, w_dim] of a source."""
        given, psi = self._picture.sources[index].ws, self._psi
        cutoff = self._generator.check_truncation(psi, self._picture.cutoff)
        if given is None or (given == given[0]).all():
            return [f"{name} = generator.truncate({self._w(index)}{self._truncation(cutoff)})"]
        lines = [f"{name} = {_array(given)}[None]"]
        if psi != 1:
            rows = f"{name}[:, :{'' if cutoff is None else cutoff}]"
            lines.append(f"{rows} = towards_mean({rows}, generator.bundle.w_avg, {number(psi)})")
        return lines

    @property
    def _psi(self) -> float:
        psi = self._picture.psi
        assert not isinstance(psi, np.ndarray), "factors a row are asked for by the Open Inference Protocol alone"
        return psi

    def _truncation(self, cutoff: int | None) -> str:
        """The arguments that truncate; none where nothing is."""
        if self._psi == 1:
            return ""
        rows = "" if cutoff is None else f", cutoff={cutoff}"
        return f", psi={number(self._psi)}{rows}"

    def _mask(self) -> list[str]:
        """Lines that make the mixing mask, one term blended in after the other."""
        spec = self._generator.spec
        if len(self._terms) == 1 and self._terms[0].weight == 1:
            return [f"mask = generator.layer_mask({list(layer_rows(spec, self._terms[0].layers))})"]
        lines = [f"mask = np.zeros(({spec.num_ws}, {1 + len(self._terms)}))", "mask[:, 0] = 1"]
        for column, term in enumerate(self._terms, 1):
            rows = _rows(self._generator, term)
            lines.append(f"mask[{rows}] *= 1 - {number(term.weight)}")
            lines.append(f"mask[{rows}, {column}] += {number(term.weight)}")
        return lines


def _rows(generator: Generator, term: MixTerm | EditTerm) -> str:
    """The rows of a term as an index."""
    rows = list(layer_rows(generator.spec, term.layers))
    return ":" if rows == list(range(generator.spec.num_ws)) else str(rows)


def _array(values: np.ndarray | None) -> str:
    """A float32 array, written out: a float64 holds each number exactly."""
    assert values is not None
    return f"np.array({values.tolist()}, np.float32)"
