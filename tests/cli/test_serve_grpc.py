"""`stylegan-edge serve --grpc-port`, as a process of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from runtime import Bundle, Generator
from tests.cli.conftest import Refused
from tests.cli.test_serve import SECONDS, asked_for, serving


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def images(*seeds: int) -> Any:
    request = service_pb2.ModelInferRequest(model_name="faces")
    tensor = request.inputs.add(name="seed", shape=[len(seeds), 1], datatype="INT64")
    tensor.contents.int64_contents.extend(seeds)
    request.outputs.add(name="pixels")
    return request


def test_calls_that_began_are_answered_before_it_ends(tiny_bundle: Bundle, port: int) -> None:
    arguments = (f"faces={tiny_bundle.path}", "--grpc-port", str(port))
    with serving(*arguments) as (url, process), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        asked = [stub.ModelInfer.future(images(*range(64))) for _ in range(3)]
        deadline = time.monotonic() + SECONDS
        while asked_for(httpx.get(f"{url}/metrics").text) < 3 * 64 - 16:  # a batch of 16 is in neither figure
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        expected = Generator.load(tiny_bundle, threads=1).generate(range(64))
        for answer in asked:
            pixels = np.frombuffer(answer.result(SECONDS).raw_output_contents[0], np.uint8)
            np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)
        assert process.wait(SECONDS) == 0


def test_tls(tiny_bundle: Bundle, port: int, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    pem, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(made, check=True, capture_output=True)
    arguments = ["--ssl-certfile", str(pem), "--ssl-keyfile", str(key), "--grpc-port", str(port)]
    trusted = grpc.ssl_channel_credentials(pem.read_bytes())
    with (
        serving(str(tiny_bundle.path), *arguments),
        grpc.secure_channel(f"127.0.0.1:{port}", trusted) as channel,
        grpc.insecure_channel(f"127.0.0.1:{port}") as plain,
    ):
        request = service_pb2.ServerLiveRequest()
        assert service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(request, timeout=SECONDS).live
        with pytest.raises(grpc.RpcError):
            service_pb2_grpc.GRPCInferenceServiceStub(plain).ServerLive(request, timeout=SECONDS)


def test_a_taken_port(refused: Refused, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        told = refused(f"serve {{bundle}} --port 0 --grpc-port {port}")
        assert f"can't listen on 127.0.0.1 port {port} (Address already in use); choose another" in told


@pytest.mark.parametrize("module", ["grpc", "tritonclient.grpc"])
def test_a_missing_package(refused: Refused, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    told = f"{module.partition('.')[0]} is not installed, and this command needs it: pip install 'stylegan-edge[grpc]'"
    assert told in refused("serve {bundle} --port 0 --grpc-port 0")
