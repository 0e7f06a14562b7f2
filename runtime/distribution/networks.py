"""Networks that users bring as ONNX files: what an image looks like to them, or which attributes it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends import RunOptions
from runtime.backends.onnxruntime import CPU, first_line, import_onnxruntime, open_session, session_options
from runtime.errors import BundleError, InputError
from runtime.verify import in_batches

COLOURS = 3
"""Channels that networks of pictures take: red, green, blue."""
_FLOAT = "tensor(float)"
_IMAGE = "expected float32 [N, 3, H, W]"


@dataclass(frozen=True)
class Port:
    """An input or output; None in a shape is free."""

    name: str
    shape: tuple[int | None, ...]


class ImageNetwork:
    """An ONNX model of one or two images, float32 [N, 3, H, W] in [-1, 1], and one float32 output, on the CPU.

    Grey images are repeated to three channels, of RGBA the alpha is left out. A model of fixed H and W takes images of
    a multiple of it, averaged over blocks; others are refused, since no way of resizing would be the right one.
    """

    def __init__(self, path: Path, images: Sequence[int], options: RunOptions) -> None:
        """Open a model that takes as many images as `images` says. Raises InputError where it is not such a one."""
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected an ONNX model of images")
        runtime = import_onnxruntime()
        try:
            self._session: Any = open_session(runtime, path, session_options(runtime, options), [CPU])
        except BundleError as error:
            raise InputError(f"{error}; expected an ONNX model of images") from None
        self._inputs = [_port(path, item) for item in self._session.get_inputs()]
        self._output = _only_output(path, self._session.get_outputs())
        if len(self._inputs) not in images:
            wanted = " or ".join(map(str, images))
            raise InputError(f"{path}: has {len(self._inputs)} inputs, expected {wanted}: one an image")
        for item in self._inputs:
            _check_image(path, item)

    @property
    def images(self) -> int:
        """How many images it takes at once."""
        return len(self._inputs)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Of its output."""
        return self._output.shape

    def check_resolution(self, side: int) -> None:
        """Raise InputError where it can't take images of `side` pixels."""
        for item in self._inputs:
            for size in item.shape[2:]:
                if size is not None and (size < 1 or side % size):
                    raise InputError(
                        f"{self.path}: input {item.name} takes images {_shown(item.shape)}, and {side} px are no "
                        f"multiple of that; expected H and W that are free, or divide {side}"
                    )

    def run(self, *images: np.ndarray) -> np.ndarray:
        """Images [N, C, H, W], one array an input -> the output, [N, ...]. Raises InputError where the model fails."""
        fixed = self._inputs[0].shape[0]
        count = len(images[0])
        feeds = {item.name: _fitted(image, item.shape) for item, image in zip(self._inputs, images)}
        parts = []
        for rows, new in in_batches(count, fixed or count):
            try:
                (found,) = self._session.run([self._output.name], {name: image[rows] for name, image in feeds.items()})
            except Exception as error:  # ONNX Runtime's exception classes are private
                raise InputError(f"{self.path}: ONNX Runtime can't run it on images ({first_line(error)})") from None
            if found.ndim == 0 or len(found) != len(rows):
                raise InputError(
                    f"{self.path}: gave {_shown(found.shape)} for {len(rows)} images, expected [{len(rows)}, ...]"
                )
            parts.append(found[:new])
        return np.concatenate(parts)


class AttributeNetwork(ImageNetwork):
    """A classifier of one attribute: a logit [N] or [N, 1], or one each for "no" and "yes", [N, 2]."""

    def __init__(self, path: Path, options: RunOptions) -> None:
        super().__init__(path, (1,), options)
        shape = self.output_shape
        if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] not in (None, 1, 2)):
            raise InputError(f"{path}: its output is {_shown(shape)}, expected logits [N], [N, 1] or [N, 2]")

    def margins(self, images: np.ndarray) -> np.ndarray:
        """Images [N, C, H, W] -> float64 [N]: how far each is on the attribute's side, as a logit."""
        logits = self.run(images).astype(np.float64)
        if logits.ndim == 1:
            return logits
        if logits.shape[1] not in (1, 2):
            raise InputError(f"{self.path}: gave {_shown(logits.shape)}, expected logits [N], [N, 1] or [N, 2]")
        return logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)


def _fitted(image: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """[N, C, H, W] -> float32 [N, 3, h, w] of an input's size."""
    colours = image[:, :COLOURS] if image.shape[1] >= COLOURS else np.repeat(image[:, :1], COLOURS, axis=1)
    (high, wide), (rows, columns) = colours.shape[2:], shape[2:]
    rows, columns = rows or high, columns or wide
    if (rows, columns) != (high, wide):
        blocks = colours.reshape(*colours.shape[:2], rows, high // rows, columns, wide // columns)
        colours = blocks.mean(axis=(3, 5), dtype=np.float64)
    return np.ascontiguousarray(colours, np.float32)


def _port(path: Path, item: Any) -> Port:
    if item.type != _FLOAT:
        raise InputError(f"{path}: {item.name} is {item.type}, expected float32; convert the model to float32")
    return Port(item.name, tuple(size if isinstance(size, int) else None for size in item.shape))


def _only_output(path: Path, outputs: Sequence[Any]) -> Port:
    if len(outputs) != 1:
        raise InputError(f"{path}: has {len(outputs)} outputs, expected 1; cut the model down to the one that counts")
    output = _port(path, outputs[0])
    if not output.shape:
        raise InputError(f"{path}: its output {output.name} has no dimensions, expected [N, ...]: one entry an image")
    return output


def _check_image(path: Path, item: Port) -> None:
    shape = item.shape
    if len(shape) != 4 or shape[1] not in (None, COLOURS) or shape[0] == 0:
        raise InputError(f"{path}: input {item.name} is {_shown(shape)}, {_IMAGE}")


def _shown(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
