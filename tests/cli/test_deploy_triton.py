"""`stylegan-edge deploy triton`: what it prints and writes, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from stylegan_edge.commands.deploy import COMMANDS
from tests.cli.conftest import Refused


def test_help_lists_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f" {name} {text}" in shown for name, text in COMMANDS.items())
    for name in COMMANDS:
        assert run(["deploy", name, "--help"]) == 0
        assert f"Usage: stylegan-edge deploy {name}" in capsys.readouterr().out


def test_no_target_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy"]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in COMMANDS)


def test_it_writes_the_models_and_says_how_to_run_them(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["deploy", "triton", str(tiny_bundle.path), "-o", "models", "--name", "avatars", "--max-batch", "3"]
    assert run(command) == 0
    *written, last = capsys.readouterr().out.splitlines()
    assert written == [
        "models/avatars_mapping",
        "models/avatars_truncation",
        "models/avatars_synthesis",
        "models/avatars",
    ]
    assert last.startswith("Run: tritonserver --model-repository=models; ")
    assert all((folder / item / "config.pbtxt").is_file() for item in written)
    assert "max_batch_size: 3\n" in (folder / "models/avatars/config.pbtxt").read_text()
    assert run([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("deploy nothing", "No such command 'nothing'"),
        ("deploy triton {bundle}", "Missing option '-o'"),
        ("deploy triton nothing -o models", "nothing: no such folder"),
        ("deploy triton notes.txt -o models", "notes.txt: is a file, expected a bundle's folder"),
        ("deploy triton {bundle} -o notes.txt", "notes.txt: is a file, expected a model repository"),
        ("deploy triton {bundle} -o models --name a/b", "model name 'a/b' can't be a folder"),
        ("deploy triton {bundle} -o models --max-batch 0", "Invalid value for '--max-batch'"),
        ("deploy triton {bundle} -o models --precision fp16", "has no graph 'synthesis.fp16'"),
        ("deploy triton {bundle} -o models --platform cuda", "Invalid value for '--platform'"),
        ("deploy triton {bundle} -o models --platform tensorrt", "no engine that Triton can run: build one on the GPU"),
        ("deploy triton {bundle} -o models --engine x", "add --platform tensorrt"),
    ],
)
def test_wrong_usage(command: str, message: str, refused: Refused) -> None:
    assert message in refused(command)
