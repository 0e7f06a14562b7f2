"""`generate --server` writes the files that `generate BUNDLE` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from stylegan_edge.remote import TOKEN_VARIABLE
from tests.cli.conftest import Refused, listing
from tests.runtime.client.conftest import serving


@pytest.fixture(scope="module")
def address(tiny_bundle: Bundle, conditional_bundle: Bundle) -> Iterator[str]:
    with serving({"tiny": tiny_bundle, "classes": conditional_bundle}, tokens=frozenset({"sesame"})) as address:
        yield address


@pytest.mark.parametrize(
    "options",
    ["--seeds 0-2,42 --psi 0.7 --cutoff 2 --noise 3", "--seeds 0-80 --grid", "--seeds 5 --noise none --psi -0.5"],
)
def test_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle, address: str, options: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, "sesame")
    asked = options.split()
    assert run(["generate", str(tiny_bundle.path), *asked, "-o", "here"]) == 0
    assert run(["generate", "--server", address, "--model", "tiny", *asked, "-o", "there"]) == 0
    assert listing(Path("here")) == listing(Path("there"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("generate --seeds 1 -o out", "neither is given; give one of them"),
        ("generate {bundle} --server URL --seeds 1 -o out", "both are given; give one of them"),
        ("generate {bundle} --model tiny --seeds 1 -o out", "--model chooses among a server's bundles"),
        ("generate --server URL --seeds 1 -o out", "several models, tiny, classes: choose one with --model"),
        ("generate --server URL --model huge --seeds 1 -o out", "no model 'huge', expected one of tiny, classes"),
        ("generate --server URL --model classes --seeds 1 -o out", "this generator is conditional: give a class"),
        ("generate --server URL --model tiny --seeds 1 --rotate 5 -o out", "can't be rotated"),
        ("generate --server URL --seeds 1 --backend onnxruntime -o out", "--backend is the server's to choose"),
        ("generate --server URL --seeds 1 --batch 4 -o out", "--batch is the server's to choose"),
        ("generate --server URL --seeds 1 --min-psnr 60 -o out", "--min-psnr is the server's to choose"),
        ("generate --server nowhere --seeds 1 -o out", "the address 'nowhere' is not one of a server"),
    ],
)
def test_what_is_refused(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, address: str, command: str, message: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "sesame")
    assert message in refused(command.replace("URL", address))


def test_a_server_that_wants_a_token(refused: Refused, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert "no token that this server knows" in refused(f"generate --server {address} --seeds 1 -o out")
