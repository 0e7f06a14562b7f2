"""Work that fails on the way: nothing is left behind, and what was there before is untouched."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import exporter.bundle_writer
from runtime import Bundle, parity
from runtime.parity import FLOAT32
from stylegan_edge.cli import EXIT_INTERRUPTED
from tests.cli.conftest import Refused, listing

WRITING = (
    "export sound.safetensors -o {}/bundle",
    "convert sound.safetensors -o {}/file",
    "generate {{bundle}} --seeds 0-9 -o {}/pictures",
    "generate {{bundle}} --seeds 0-9 --grid -o {}",
    "mix {{bundle}} --rows 1 --cols 2 --layers 0 -o {}/grid.png",
)


@pytest.fixture
def impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tolerance that no graph meets."""
    monkeypatch.setitem(parity.TOLERANCES, "fp32", dataclasses.replace(FLOAT32, max_relative=0.0))


@pytest.mark.parametrize(
    "command", ["export sound.safetensors -o new/bundle", "export sound.safetensors -o copy --force"]
)
def test_a_bundle_that_fails_parity_is_not_written(
    command: str, impossible: None, refused: Refused, folder: Path, tiny_bundle: Bundle
) -> None:
    shutil.copytree(tiny_bundle.path, folder / "copy")
    message = refused(command, code=1)
    assert "does not draw the reference's images" in message
    assert "the bundle was not written" in message
    Bundle(folder / "copy")


def test_verification_that_fails_ends_with_1(
    impossible: None, folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    from stylegan_edge.cli import run

    assert run(["verify", str(tiny_bundle.path)]) == 1
    assert "FAILED: the images differ" in capsys.readouterr().out


@pytest.mark.parametrize("force", ["", " --force"])
def test_an_interrupted_export_leaves_nothing(
    force: str, refused: Refused, folder: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle.path, folder / "copy")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter.bundle_writer, "_write_arrays", interrupt)
    command = f"export sound.safetensors -o {'copy' if force else 'new/bundle'}{force}"
    assert "interrupted; nothing was left behind" in refused(command, code=EXIT_INTERRUPTED)


@pytest.mark.parametrize(("sent", "told"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_stopped_process_leaves_nothing(sent: signal.Signals, told: str, folder: Path) -> None:
    before = listing(folder)
    command = [sys.executable, "-m", "stylegan_edge", "export", "sound.safetensors", "-o", "bundle"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while listing(folder) == before and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(sent)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert (output, errors.strip()) == ("", f"Error: {told}; nothing was left behind")
    assert listing(folder) == before


def test_an_interrupted_replacement_keeps_the_old_bundle(
    refused: Refused, folder: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle.path, folder / "copy")
    rename = os.rename

    def fail_into_place(source: str | Path, target: str | Path) -> None:
        if Path(target) == Path("copy") and Path(source).name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_into_place)
    assert "copy: can't be written (Input/output error)" in refused("export sound.safetensors -o copy --force")
    Bundle(folder / "copy")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 4 KB, mounted as `disk` (needs root)."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting a disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("command", WRITING)
def test_a_full_disk_is_named(command: str, small_disk: Path, refused: Refused) -> None:
    (small_disk / "full").write_bytes(bytes(4096))
    assert "the disk is full: free some space or choose another folder" in refused(command.format("disk"))


@pytest.mark.parametrize("command", WRITING[1:])
def test_a_disk_that_fills_up_is_named(command: str, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes = Path.write_bytes

    def fill_up(path: Path, data: bytes) -> int:
        write_bytes(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    assert "the disk is full: free some space or choose another folder" in refused(command.format("new/folder"))


@pytest.mark.parametrize("command", WRITING)
def test_a_place_that_takes_no_files_is_named(command: str, refused: Refused) -> None:
    assert "can't be written" in refused(command.format("/proc/new"))


@pytest.mark.parametrize("command", WRITING[1:])
def test_a_folder_without_permission_is_named(command: str, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: Any, **__: Any) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)
    assert "no permission, or a read-only place: choose another folder" in refused(command.format("new/folder"))


def test_listing_sees_hidden_folders(folder: Path) -> None:
    before = listing(folder)
    (folder / ".bundle.x.partial").mkdir()
    assert listing(folder) != before
