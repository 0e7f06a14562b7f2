"""`stylegan-edge serve`, as a process of its own."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from tests.cli.conftest import Refused

SECONDS = 30


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server that runs these arguments, and its process."""
    command = [sys.executable, "-m", "stylegan_edge", "serve", *arguments, "--port", "0", "--threads", "1"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"at (https?://\S+)", line)
            log.seek(0)
            assert found, line + log.read()
            yield found[1], process
        finally:
            process.kill()
            process.communicate()


def test_it_says_where_and_ends_well_with_all_requests_answered(tiny_bundle: Bundle) -> None:
    with serving(f"faces={tiny_bundle.path}") as (url, process), httpx.Client(base_url=url, timeout=SECONDS) as client:
        assert client.get("/v1/models").json()["models"][0]["name"] == "faces"
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.post("/v1/generate", json={"seeds": "0-63"}).status_code)

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        deadline = time.monotonic() + SECONDS
        while asked_for(client.get("/metrics").text) < 3 * 64 - 16:  # a batch of 16 is in neither figure
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        for thread in asking:
            thread.join(SECONDS)
        assert process.wait(SECONDS) == 0
        assert answers == [200] * 3


def asked_for(figures: str) -> float:
    """Images that wait or were drawn."""
    names = (r"stylegan_edge_queue_depth{.*}", r"stylegan_edge_batch_size_sum{.*}")
    found = [re.search(f"^{name} (.+)$", figures, re.MULTILINE) for name in names]
    return sum(float(item[1]) for item in found if item)


def test_tls_and_tokens(tiny_bundle: Bundle, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    pem, key, tokens = tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "tokens"
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(made, check=True, capture_output=True)
    tokens.write_text("one\ntwo\n")
    options = ["--ssl-certfile", str(pem), "--ssl-keyfile", str(key), "--token-file", str(tokens)]
    with serving(str(tiny_bundle.path), *options) as (url, _):
        assert url.startswith("https://")
        with httpx.Client(verify=str(pem)) as client:
            assert client.get(f"{url}/v1/models").status_code == 401
            assert client.get(f"{url}/v1/models", headers={"authorization": "Bearer two"}).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "Missing argument"),
        ("missing", "missing: no such folder; expected a bundle"),
        ("sound.safetensors", "is a file, expected a bundle's folder"),
        ("a/b={bundle}", "the model name 'a/b' is not letters"),
        ("x={bundle} x={bundle}", "two bundles are called x"),
        ("{bundle},speed=9", "'speed=9' of"),
        ("{bundle},gpu=one", "'gpu=one' has no number of a GPU"),
        ("{bundle},backend=abacus", "backend 'abacus' is unknown"),
        ("{bundle} --precision fp8", "has no graph"),
        ("{bundle} --port 99999", "99999 is not in the range"),
        ("{bundle} --host 203.0.113.9", "can't listen on 203.0.113.9 port 8000"),
        ("{bundle} --max-wait-ms -1", "-1.0 is not in the range"),
        ("{bundle} --token-file missing", "missing: can't be read (No such file or directory)"),
        ("{bundle} --token-file empty", "empty: holds no token"),
        ("{bundle} --ssl-certfile notes.txt", "TLS needs both a certificate and its key"),
        ("{bundle} --ssl-certfile notes.txt --ssl-keyfile none.pem", "none.pem: no such file"),
        ("{bundle} --ssl-certfile notes.txt --ssl-keyfile notes.txt", "are not a certificate and its key"),
    ],
)
def test_wrong_input(refused: Refused, folder: Path, tiny_bundle: Bundle, arguments: str, told: str) -> None:
    (folder / "empty").write_text("\n")
    words = [word.replace("{bundle}", str(tiny_bundle.path)) for word in arguments.split()]
    assert told in refused(["serve", *words])


def test_a_port_that_is_taken(refused: Refused, tiny_bundle: Bundle) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert f"port {port} (Address already in use)" in refused(["serve", str(tiny_bundle.path), "--port", port])


def test_help_shows_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--max-batch", "--max-wait-ms", "--max-queue", "--max-body", "--token-file", "127.0.0.1"):
        assert option in shown
