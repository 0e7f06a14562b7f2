"""Films: paths through style space, and frames into a video file (extra `video`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from runtime.errors import InputError
from runtime.extras import require
from runtime.output import check_new_file, explain_os_errors, staging_folder

MAX_FPS = 240
"""Frames a second: no screen shows more."""
SUFFIXES = (".mp4", ".webm", ".gif")


def style_path(keys: np.ndarray, frames: int) -> np.ndarray:
    """A closed, smooth path of `frames` points through `keys` [S, ...]: cosine easing between neighbours.

    Interpolated in W, where a straight line stays close to images that the network draws well (arXiv 1812.04948, 4.1).
    """
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    position = np.arange(frames) * len(keys) / frames
    left = position.astype(int)
    ease = (1 - np.cos(np.pi * (position - left))) / 2
    ease = ease.reshape(-1, *([1] * (keys.ndim - 1)))
    right = (left + 1) % len(keys)
    return ((1 - ease) * keys[left] + ease * keys[right]).astype(np.float32)


def check_video(path: Path, fps: float, overwrite: bool) -> None:
    """Raise OutputError or InputError where a film of this name and speed could not be written."""
    if not 0 < fps <= MAX_FPS:
        raise InputError(f"fps is {fps}, expected more than 0 and at most {MAX_FPS}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: the ending {path.suffix!r} is unknown, expected one of {', '.join(SUFFIXES)}")
    check_new_file(path, overwrite)


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, overwrite: bool = False) -> None:
    """Write uint8 frames [H, W, C] as a film, through a temporary file."""
    check_video(path, fps, overwrite)
    imageio = require("imageio.v2")
    if path.suffix.lower() != ".gif":
        require("imageio_ffmpeg")
    with staging_folder(path) as folder, explain_os_errors(path):
        partial = folder / path.name
        if path.suffix.lower() == ".gif":
            writer = imageio.get_writer(partial, duration=1000 / fps, loop=0)
        else:
            # Quality 9 keeps the grain of the noise; encoders want sides that are multiples of 2.
            writer = imageio.get_writer(partial, fps=fps, quality=9, macro_block_size=2)
        with writer:
            for frame in frames:
                writer.append_data(np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame[:, :, :3])
        os.replace(partial, path)
