"""Write files and folders whole or not at all: a temporary neighbour first, renamed when complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import OutputError


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """A new empty folder beside `target`, removed on leaving if it is still there.

    Parents that had to be made are removed again where the caller fails. Raises OutputError where the parent can't be
    written or the disk fills up while the caller writes into it.
    """
    parent = target.absolute().parent
    with explain_os_errors(target), _made_parents(parent):
        folder = parent / f".{target.name}.{secrets.token_hex(8)}.partial"
        try:  # an interrupt may come as soon as the folder is there
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def move_into_place(folder: Path, target: Path) -> None:
    """Rename a finished folder; one that it replaces is moved aside first and only then removed.

    Raises OutputError where that can't be done; then what was there is there still.
    """
    with explain_os_errors(target):
        if not target.exists():
            os.rename(folder, target)
            return
        with staging_folder(target) as aside:
            os.rename(target, aside / "replaced")
            try:
                os.rename(folder, target)
            except OSError:
                os.rename(aside / "replaced", target)
                raise


@contextmanager
def _made_parents(parent: Path) -> Iterator[None]:
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:  # deepest first
            with suppress(OSError):
                folder.rmdir()
        raise


def check_new_file(path: Path, overwrite: bool) -> None:
    """Raise OutputError, before any work is done for it, where a file of this name may not be written."""
    if path.is_dir():
        raise OutputError(f"{path}: is a directory, expected the name of a file to write")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name, or pass --force to replace it")


def write_atomically(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write a file through a temporary one. Raises OutputError where it exists already or can't be written."""
    check_new_file(path, overwrite)
    with staging_folder(path) as folder, explain_os_errors(path):
        partial = folder / path.name
        partial.write_bytes(data)
        os.replace(partial, path)


@contextmanager
def staged_files(paths: Sequence[Path], overwrite: bool = False) -> Iterator[Callable[[Path, bytes], object]]:
    """Files of one folder that appear together, when all are written, or not at all. Yields what writes one of them.

    Raises OutputError, before any work is done for them, where one exists already or the folder can't be written, and
    at the end where they can't be moved into place; then what was there before is there still.
    """
    for path in paths:
        check_new_file(path, overwrite)
    with staging_folder(paths[0]) as folder, explain_os_errors(paths[0]):
        yield lambda path, data: folder.joinpath(path.name).write_bytes(data)
        move_together(folder, paths)


def move_together(folder: Path, paths: Sequence[Path]) -> None:
    """Move finished files or folders from a staging folder to `paths`, in order, all or none.

    What they replace is left in the staging folder, to be removed with it. Raises OSError where one can't be moved;
    then what was there before is there still.
    """
    moved: list[tuple[Path, Path | None]] = []
    try:
        for path in paths:
            aside = folder / f"{path.name}.replaced" if path.exists() else None
            if aside is not None:
                os.rename(path, aside)
            moved.append((path, aside))
            os.rename(folder / path.name, path)
    except BaseException:
        for path, aside in moved:
            with suppress(OSError):  # it may not be there; whatever it is, what was aside must come back
                os.rename(path, folder / path.name)
            if aside is not None:
                os.rename(aside, path)
        raise


@contextmanager
def explain_os_errors(target: Path) -> Iterator[None]:
    """Turn an OSError into an OutputError that says what could not be written and what to do."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target}: can't be written ({_reason(error)}); nothing was left behind") from None


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full: free some space or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission, or a read-only place: choose another folder"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a part of the path is a file, expected a folder"
    return error.strerror or str(error)
