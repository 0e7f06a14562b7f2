"""Images that share the first rows of `ws`: what those rows make is computed once, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runtime.arguments import check_output, floats
from runtime.backends.base import frozen
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.graphs import SplitGraphs
from runtime.noise import check_whole


def check_rows(bundle: Bundle, rows: int | None) -> None:
    """Raise InputError unless a bundle has a session for a caller that holds the first `rows` of `ws` still."""
    options, spec, path = bundle.manifest.options, bundle.spec, bundle.path
    if options.split is None:
        raise InputError(f"{path}: was not split, so no layer can be left out; export it again with --split ROWS")
    if rows is None:
        return
    if check_whole("rows", rows) > spec.num_ws:
        raise InputError(f"rows is {rows}, expected {options.split} to {spec.num_ws}")
    if rows < options.split:
        raise InputError(
            f"{path}: is split at row {options.split}, but only {rows} rows stay; hold {options.split} rows still, "
            f"or export it again with {f'--split {rows}' if rows > 0 else 'another --split'}"
        )


class Session:
    """Synthesis with the rows of `ws` before the bundle's split held still. Made by `Generator.session`.

    The activations at the split are kept until `close`: on the GPU with TensorRT engines, else in host memory. Several
    threads may draw at once.
    """

    def __init__(
        self,
        graphs: SplitGraphs,
        fixed: np.ndarray,
        others: Mapping[str, np.ndarray],
        batch_size: Callable[[int | None], int],
    ) -> None:
        """`fixed` [N, K, w_dim] and, by name, noise and transform [N or 1, ...], all checked."""
        self._graphs = graphs
        self._shape = (None, *fixed.shape[1:])
        self._batch_size = batch_size
        self._count = len(fixed)
        # What nobody can write into may stay on a GPU from one call to the next.
        self._others = {name: frozen(array) for name, array in others.items() if name in graphs.tail_inputs}
        self._kept: dict[str, Any] | None = self._run_head(fixed, others)

    def _run_head(self, fixed: np.ndarray, others: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The activations [N, ...] by name: on the GPU, or arrays that nobody can write into."""
        if self._graphs.on_device:  # which cuts them to what its profiles take
            return self._graphs.activations({"styles": fixed, **others})
        size, parts = self._batch_size(None), []
        for start in range(0, len(fixed), size):
            part = slice(start, start + size)
            parts.append(self._graphs.activations({"styles": fixed[part], **_rows(others, part)}))
        kept = {name: np.concatenate([item[name] for item in parts]) for name in self._graphs.crossing}
        for array in kept.values():
            array.setflags(write=False)
        return kept

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was kept. Nothing can be drawn afterwards."""
        self._kept = None

    def synthesize(self, ws: Any, output: str = "image", batch: int | None = None) -> np.ndarray:
        """`ws` [N, K, w_dim] -> "image" or "pixels", as `Generator.synthesize` with the fixed rows in their places.

        Rows before the split are ignored, whatever they hold. N is any number where one image was fixed, else as many
        as were. `batch` bounds how many images run at once. Raises InputError, also after `close`.
        """
        check_output(output)
        kept = self._kept
        if kept is None:
            raise InputError("the session was closed; begin another with Generator.session")
        styles = floats("ws", ws, self._shape)
        if self._count not in (1, len(styles)):
            raise InputError(
                f"ws is for {len(styles)} images, but {self._count} were fixed; give {self._count}, or fix one for all"
            )
        size, parts = self._batch_size(batch), []
        for start in range(0, len(styles), size):
            part = slice(start, start + size)
            inputs = {"styles": styles[part], **_rows(self._others, part)}
            parts += self._graphs.images(_rows(kept, part), inputs, [output])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _rows(arrays: Mapping[str, Any], part: slice) -> dict[str, Any]:
    """Some images' rows of arrays that have one for each; those with one for all as they are."""
    return {name: array if len(array) == 1 else array[part] for name, array in arrays.items()}
