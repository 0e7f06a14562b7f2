"""Pictures on disk: PNG files, whole or not at all, and contact sheets."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from runtime.errors import OutputError
from runtime.output import explain_os_errors, staging_folder, write_atomically

MAX_SHEET_SIDE = 32_768
"""Pixels of a contact sheet's side: larger pictures open in few programs."""


def png_bytes(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, C] (grey, RGB or RGBA) as a PNG file."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    picture.save(file, format="png")
    return file.getvalue()


def contact_sheet(pixels: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Images uint8 [H, W, C] side by side, row by row; about square unless `columns` says otherwise."""
    count = len(pixels)
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    height, width, channels = pixels[0].shape
    if max(rows * height, columns * width) > MAX_SHEET_SIDE:
        raise OutputError(f"a grid of {count} images of {width} px is over {MAX_SHEET_SIDE} px wide: draw fewer")
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for index, image in enumerate(pixels):
        y, x = divmod(index, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = image
    return sheet


def write_png(path: Path, pixels: np.ndarray, overwrite: bool = False) -> None:
    """Write one picture. Raises OutputError where it exists already or can't be written."""
    write_atomically(path, png_bytes(pixels), overwrite=overwrite)


class ImageFolder:
    """A folder that pictures arrive in only when all of them are written. Use `open_image_folder`."""

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self.names: list[str] = []

    def add(self, name: str, pixels: np.ndarray) -> None:
        """Write a picture aside."""
        (self._staging / name).write_bytes(png_bytes(pixels))
        self.names.append(name)


@contextmanager
def open_image_folder(folder: Path, names: Sequence[str], overwrite: bool = False) -> Iterator[ImageFolder]:
    """Collect pictures named `names` in `folder`, all or none.

    Raises OutputError where `folder` is a file, a name exists already without `overwrite`, or writing fails.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, expected a folder to write pictures into")
    blocked = [name for name in names if (folder / name).is_dir()]
    if blocked:
        raise OutputError(f"{folder / blocked[0]}: is a folder where a picture belongs; choose another folder")
    taken = [name for name in names if (folder / name).exists()]
    if taken and not overwrite:
        raise OutputError(f"{folder / taken[0]}: exists already; choose another folder, or pass --force to replace it")
    with staging_folder(folder / "pictures") as staging, explain_os_errors(folder):
        pictures = ImageFolder(staging)
        yield pictures
        for name in pictures.names:
            os.replace(staging / name, folder / name)
