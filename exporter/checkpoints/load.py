"""Read a checkpoint file of any supported format, detected from its content."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

import numpy as np

from exporter.checkpoints import limits, rosinality
from exporter.checkpoints.checkpoint import Checkpoint
from exporter.checkpoints.detect import HEAD_BYTES, SUPPORTED, Container, detect_container
from exporter.checkpoints.safetensors_file import read_safetensors
from exporter.checkpoints.snapshot_pickle import read_snapshot_pickle
from exporter.checkpoints.source import SourceFormat
from exporter.checkpoints.tensors import load_torch_stream
from exporter.checkpoints.torch_zip import load_torch_zip
from runtime.errors import BundleError, CheckpointError
from runtime.files import sha256_of
from runtime.spec import GeneratorSpec

Contents = tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a trained generator. No code from the file is run and no module of the upstream projects is needed.

    Raises UnsafeCheckpointError where the file refers to anything outside the formats' few globals, CheckpointError
    where it is missing, truncated, damaged, foreign or not supported. Messages begin with the path.
    """
    path = Path(path)
    try:
        # NaN and numbers beyond float32 are refused in the end, by the name of their tensor, and warn of nothing.
        with _open(path) as file, np.errstate(all="ignore"):
            size = path.stat().st_size
            return _load(path, file, size)
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from None
    except MemoryError:
        raise CheckpointError(f"{path}: not enough memory to read the checkpoint") from None


def _open(path: Path) -> IO[bytes]:
    try:
        if path.is_dir():
            raise CheckpointError(f"is a directory, expected a checkpoint file; {SUPPORTED}")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError("is not a regular file, expected a checkpoint file")
        size = status.st_size
        if size > limits.MAX_FILE_BYTES:
            raise CheckpointError(f"the file has {size:,} bytes, over the limit of {limits.MAX_FILE_BYTES:,}")
        return path.open("rb")
    except OSError as error:
        raise CheckpointError(f"can't be read ({error.strerror}); expected a checkpoint file") from None
    except ValueError:  # a null character
        raise CheckpointError("is not a file name, expected a checkpoint file") from None


def _load(path: Path, file: IO[bytes], size: int) -> Checkpoint:
    head = file.read(HEAD_BYTES)
    container = detect_container(head, size)
    file.seek(0)
    try:
        source, contents = _read(container, path, file, size, head)
    except BundleError as error:  # the specification's own bounds
        raise CheckpointError(str(error)) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        # The last resort: what a damaged file holds fits no rule above, such as a number too large to compute with.
        raise CheckpointError("the checkpoint holds values that make no sense: it is damaged") from None
    spec, weights, details = contents
    file.seek(0)
    return Checkpoint(spec, weights, source, path.name, sha256_of(file), details)


def _read(container: Container, path: Path, file: IO[bytes], size: int, head: bytes) -> tuple[SourceFormat, Contents]:
    if container is Container.PICKLE:
        return read_snapshot_pickle(file, size)
    if container is Container.SAFETENSORS:
        return SourceFormat.SAFETENSORS, read_safetensors(path, head)
    if container is Container.TORCH_ZIP:
        value, version = load_torch_zip(file, size, rosinality.ALLOWED)
        details = {"container": container.value, "torch archive version": version}
    else:
        value = load_torch_stream(file, size, rosinality.ALLOWED)
        details = {"container": container.value}
    source, (spec, weights, more) = rosinality.read_rosinality(value, size)
    return source, (spec, weights, {**more, **details})
