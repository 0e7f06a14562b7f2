"""A perceptual distance of two images, by a network that the user gives as an ONNX file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends.base import RunOptions
from runtime.backends.onnxruntime import CPU, first_line, import_onnxruntime, open_session, session_options
from runtime.errors import BundleError, InputError

EXPECTED = "two float32 inputs [N, 3, H, W] in [-1, 1] and one float32 output [N] or [N, 1, 1, 1]: a distance a pair"
"""What such a network takes and gives."""
FLOAT = "tensor(float)"
_SILENT = 4
"""ONNX Runtime's log level for what is fatal: what a network of the user's fails with, is said in our own line."""
COLOURS = 3


class PerceptualDistance:
    """The network in an ONNX Runtime session on the CPU; called with two images, it gives their distance."""

    def __init__(self, path: str | Path, side: int, threads: int | None = None) -> None:
        """Open the network for square images of `side` pixels.

        Raises InputError where the file can't be read or is no such network, BackendUnavailableError without ONNX
        Runtime.
        """
        self._path = Path(path)
        runtime = import_onnxruntime()
        if not self._path.is_file():
            raise InputError(f"{path}: no such file; expected an ONNX network with {EXPECTED}")
        options = session_options(runtime, RunOptions(threads))
        options.log_severity_level = _SILENT
        try:
            self._session: Any = open_session(runtime, self._path, options, [CPU])
        except BundleError as error:
            raise InputError(f"{error}; expected an ONNX network with {EXPECTED}") from None
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._check(side)

    def __call__(self, reference: np.ndarray, measured: np.ndarray) -> float:
        """The distance of two images float32 [C, H, W], clipped to [-1, 1].

        A grey image is given as three equal channels, the alpha of an RGBA one is left out. Raises InputError where
        the network fails, or its answer is no finite number.
        """
        images = dict(zip(self._inputs, (_as_colours(reference), _as_colours(measured))))
        try:
            (answer,) = self._session.run(None, images)
        except Exception as error:  # ONNX Runtime's exception classes are private
            shape = list(images[self._inputs[0]].shape)
            raise InputError(f"{self._path}: fails on two images {shape} ({first_line(error)})") from None
        if answer.size != 1 or not math.isfinite(answer.item()):
            raise InputError(f"{self._path}: gave {_told(answer)} for one pair of images, expected one finite number")
        return float(answer.item())

    def _check(self, side: int) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 2 or len(outputs) != 1:
            self._refuse(f"has {len(inputs)} inputs and {len(outputs)} outputs")
        for item in inputs:
            if item.type != FLOAT or not _fits(item.shape, (1, COLOURS, side, side)):
                wanted = f"[N, {COLOURS}, {side}, {side}], these images'"
                self._refuse(f"its input {item.name[:40]!r} is {item.type} {_shape(item.shape)}, not {wanted}")
        (item,) = outputs
        if item.type != FLOAT or not (_fits(item.shape, (1,)) or _fits(item.shape, (1, 1, 1, 1))):
            self._refuse(f"its output {item.name[:40]!r} is {item.type} {_shape(item.shape)}")

    def _refuse(self, found: str) -> None:
        raise InputError(f"{self._path}: {found}; expected {EXPECTED}")


def _as_colours(image: np.ndarray) -> np.ndarray:
    """[C, H, W] -> float32 [1, 3, H, W] within [-1, 1]."""
    colours = np.repeat(image, COLOURS, axis=0) if len(image) == 1 else image[:COLOURS]
    return np.ascontiguousarray(colours[None].clip(-1, 1), np.float32)


def _fits(shape: Sequence[Any], wanted: Sequence[int]) -> bool:
    """Whether a tensor of shape `wanted` is one of `shape`, where a name or None stands for any length."""
    same = all(not isinstance(size, int) or size == length for size, length in zip(shape, wanted))
    return len(shape) == len(wanted) and same


def _shape(shape: Sequence[Any]) -> str:
    return "[" + ", ".join(str(size)[:20] for size in shape) + "]"


def _told(answer: np.ndarray) -> str:
    return f"{answer.item()}" if answer.size == 1 else f"{answer.size} numbers"
