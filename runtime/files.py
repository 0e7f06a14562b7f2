"""sha256 of files, read in blocks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20


def sha256_of(file: IO[bytes]) -> str:
    """Hexadecimal sha256 of an open file, from its current position to its end."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def sha256_of_path(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return sha256_of(file)
