"""The command line, run in this process in an empty folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.checkpoints import write_safetensors
from runtime import Bundle
from runtime.spec import Architecture
from stylegan_edge.cli import EXIT_INTERRUPTED, run
from tests.tiny import tiny_checkpoint

Refused = Callable[..., str]
MAX_LINE = 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: it holds a checkpoint that is sound, one that can't stop early, and text."""
    monkeypatch.chdir(tmp_path)
    write_safetensors(tiny_checkpoint(), tmp_path / "sound.safetensors")
    write_safetensors(tiny_checkpoint(architecture=Architecture.ORIG), tmp_path / "orig.safetensors")
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


@pytest.fixture
def refused(
    folder: Path, tiny_bundle: Bundle, conditional_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Run a command that must fail: one line on standard error (returned), nothing else, and no trace on disk.

    `{bundle}` and `{conditional}` in the arguments stand for sound bundles.
    """

    def refused(command: str | list[str], code: int = 2) -> str:
        arguments = command.split() if isinstance(command, str) else command
        names = {"{bundle}": str(tiny_bundle.path), "{conditional}": str(conditional_bundle.path)}
        before = listing(folder)
        capsys.readouterr()
        result = run([names.get(argument, argument) for argument in arguments])
        output = capsys.readouterr()
        assert result == code, output.err
        assert output.out == ""
        # After ^C, click ends the terminal's line first.
        line = output.err.removeprefix("\n") if code == EXIT_INTERRUPTED else output.err
        assert line.startswith("Error: ")
        assert line.count("\n") == 1, line
        assert line.rstrip("\n").isprintable(), repr(line)
        assert len(line) < MAX_LINE, f"a line of {len(line)} characters"
        assert "a defect of stylegan-edge" not in line, line
        assert listing(folder) == before, "something was left behind or changed"
        return line

    return refused


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, with a digest of its content; folders end in a slash."""
    return {
        f"{entry.relative_to(folder)}{'/' * entry.is_dir()}": (
            hashlib.sha256(entry.read_bytes()).hexdigest() if entry.is_file() else ""
        )
        for entry in folder.rglob("*")
    }
