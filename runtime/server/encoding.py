"""Pixels as files: PNG, JPEG, WebP or raw bytes, one by one or together, as the client reads them."""

from __future__ import annotations

import io
import secrets
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from runtime.server.errors import NotAcceptableError

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "raw": "application/octet-stream"}
ZIP, MULTIPART = "application/zip", "multipart/mixed"
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "raw": "raw"}
PNG_LEVEL = 1
"""zlib's fastest: a generated image of 64 px takes two thirds of the default's time, and 7 % more bytes."""


@dataclass(frozen=True)
class Form:
    """What an answer is made of: the images' format, and what holds several ("multipart", "zip"; None: nothing)."""

    format: str
    container: str | None = None


def choose_form(accept: str, count: int, wanted: str | None = None) -> Form:
    """The form of an answer of `count` images, of an Accept header and the format that the request itself names.

    Several images come as `multipart/mixed` unless a ZIP file or raw bytes are asked for. Raises NotAcceptableError.
    """
    several = count > 1
    for media in _preferences(accept):
        if media == ZIP:
            return Form(wanted if wanted not in (None, "raw") else "png", "zip")
        if media == MULTIPART:
            return Form(wanted if wanted not in (None, "raw") else "png", "multipart")
        for name, type_ in MEDIA_TYPES.items():
            if media == type_ and wanted in (None, name):
                return Form(name, "multipart" if several and name != "raw" else None)
        if media == "*/*" or (media == "image/*" and wanted != "raw"):
            name = wanted or "png"
            return Form(name, "multipart" if several and name != "raw" else None)
    known = ", ".join([*MEDIA_TYPES.values(), ZIP, MULTIPART])
    asked = f" as {wanted}" if wanted else ""
    raise NotAcceptableError(f"images{asked} can't be answered as {accept[:80]!r}, expected one of {known}")


def _preferences(accept: str) -> list[str]:
    """The media types of an Accept header, the most wanted first."""
    found = []
    for part in accept.split(","):
        media, *settings = (item.strip() for item in part.split(";"))
        quality = 1.0
        for setting in settings:
            if setting.startswith("q="):
                try:
                    quality = float(setting[2:])
                except ValueError:
                    quality = 0.0
        if media and quality > 0:
            found.append((quality, media.lower()))
    return [media for _, media in sorted(found, key=lambda item: -item[0])] or ["*/*"]


def encode(pixels: np.ndarray, form: str, quality: int) -> bytes:
    """uint8 [H, W, C] as a file. Raises NotAcceptableError where the format has no such channels."""
    if form == "raw":
        return pixels.tobytes()
    if form == "jpeg" and pixels.shape[2] == 4:
        raise NotAcceptableError("JPEG has no transparency, and this generator draws it: ask for PNG or WebP")
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    if form == "png":
        picture.save(file, format="png", compress_level=PNG_LEVEL)
    elif form == "jpeg":
        picture.save(file, format="jpeg", quality=quality)
    else:
        picture.save(file, format="webp", quality=quality)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    """A body with its media type and what its headers say beside it."""

    body: bytes
    media_type: str
    headers: dict[str, str]


def pack(pixels: Sequence[np.ndarray], names: Sequence[str], form: Form, quality: int) -> Answer:
    """Images uint8 [H, W, C], all of one size, as one answer; `names` are those of the files in a container."""
    headers = {}
    if form.format == "raw":
        headers = {"X-Image-Shape": ",".join(map(str, (len(pixels), *pixels[0].shape))), "X-Image-Dtype": "uint8"}
    files = [encode(image, form.format, quality) for image in pixels]
    media = MEDIA_TYPES[form.format]
    if form.container is None:
        return Answer(b"".join(files), media, headers)
    named = [(f"{name}.{SUFFIXES[form.format]}", data) for name, data in zip(names, files)]
    if form.container == "zip":
        return Answer(_zip(named), ZIP, {"Content-Disposition": 'attachment; filename="images.zip"'})
    boundary = secrets.token_hex(16)
    return Answer(_multipart(named, media, boundary), f"{MULTIPART}; boundary={boundary}", headers)


def _zip(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Stored, not compressed: the images are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def _multipart(files: Sequence[tuple[str, bytes]], media: str, boundary: str) -> bytes:
    parts = []
    for name, data in files:
        head = (
            f"--{boundary}\r\nContent-Type: {media}\r\n"
            f'Content-Disposition: attachment; filename="{name}"\r\nContent-Length: {len(data)}\r\n\r\n'
        )
        parts += [head.encode(), data, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])
