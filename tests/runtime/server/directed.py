"""Bundles with directions, made from others without exporting again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime import Bundle
from runtime.bundle import DIRECTIONS
from runtime.files import sha256_of_path
from runtime.manifest import MANIFEST, FileInfo


def with_directions(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of a bundle with the directions "smile" [w_dim] and "age" [num_ws, w_dim]."""
    spec, random = bundle.spec, np.random.RandomState(0)
    smile, age = random.randn(spec.w_dim), random.randn(spec.num_ws, spec.w_dim)
    shutil.copytree(bundle.path, folder)
    path = folder / DIRECTIONS
    np.savez(path, smile=smile.astype(np.float32), age=age.astype(np.float32))
    info = FileInfo(sha256_of_path(path), path.stat().st_size)
    manifest = replace(bundle.manifest, files={**bundle.manifest.files, DIRECTIONS: info})
    (folder / MANIFEST).write_text(manifest.to_text())
    return Bundle(folder)
