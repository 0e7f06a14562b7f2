"""torch.save's zip archives (torch 1.6 and later), read with `zipfile` and the pickle machine; torch is not needed."""

from __future__ import annotations

import zipfile
from typing import IO, Any

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.pickle_machine import AllowList, BoundedReader, load_pickle
from exporter.checkpoints.shown import shown
from exporter.checkpoints.tensors import STORAGE_GLOBALS, parse_storage_identity, storage_dtype
from runtime.errors import CheckpointError


def load_torch_zip(file: IO[bytes], size: int, allowed: AllowList) -> tuple[Any, str]:
    """Read an archive: its value with tensors as NumPy arrays, and the archive's format version.

    Members must be stored uncompressed, as torch writes them, so that no member can grow when it is read; their
    checksums are verified. Raises CheckpointError or UnsafeCheckpointError.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _load(_Archive(archive, size), allowed)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"the archive is truncated or damaged ({shown(str(error))})") from None


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        members = archive.infolist()
        if len(members) > limits.MAX_ARCHIVE_MEMBERS:
            raise CheckpointError(f"the archive has {len(members):,} members, over {limits.MAX_ARCHIVE_MEMBERS:,}")
        pickles = [info.filename for info in members if info.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"the file is a zip archive, but not one that torch.save wrote; {SUPPORTED}")
        self.root = pickles[0].removesuffix("data.pkl")
        self._archive = archive
        self._members = {info.filename: info for info in members}
        self._size = size

    def info(self, name: str) -> zipfile.ZipInfo:
        info = self._members.get(self.root + name)
        if info is None:
            raise CheckpointError(f"the archive is damaged: its member {name} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > self._size:
            raise CheckpointError(f"the archive's member {name} is compressed, which torch.save never does")
        return info

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self.info(name))

    def read(self, name: str) -> bytes:
        with self.open(name) as member:
            return member.read()

    def has(self, name: str) -> bool:
        return self.root + name in self._members


def _load(archive: _Archive, allowed: AllowList) -> tuple[Any, str]:
    if archive.has("byteorder") and archive.read("byteorder").strip() != b"little":
        raise CheckpointError("the checkpoint was written on a big-endian machine, which is not supported")
    storages: dict[str, np.ndarray] = {}

    def persistent_load(identity: Any) -> np.ndarray:
        _, storage_type, key, _, count = parse_storage_identity(identity)
        dtype = storage_dtype(storage_type)
        if key not in storages:
            name = f"data/{key}"
            if archive.info(name).file_size != count * dtype.itemsize:
                raise CheckpointError(f"the archive is damaged: {name} does not hold {count} elements of {dtype}")
            storages[key] = np.frombuffer(archive.read(name), dtype)
        return storages[key]

    with archive.open("data.pkl") as member:
        reader = BoundedReader(member, archive.info("data.pkl").file_size)
        value = load_pickle(reader, {**allowed, **STORAGE_GLOBALS}, persistent_load)
    version = archive.read("version").strip().decode("ascii", "replace") if archive.has("version") else "unknown"
    return value, version
