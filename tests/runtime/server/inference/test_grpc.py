"""gRPC as it stands on the wire: typed contents, metadata, limits, calls that are given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.server.limits import Limits
from runtime.server.run import Listening
from tests.runtime.server.inference.asking import Asker
from tests.runtime.server.inference.grpc_running import grpc_running
from tests.runtime.server.running import Running, running
from tests.runtime.server.test_guards import Held

SECONDS = 10


@pytest.fixture(scope="module")
def stub(grpc_url: str) -> Any:
    with grpc.insecure_channel(grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@contextmanager
def asked(bundles: dict[str, Bundle], **settings: Any) -> Iterator[tuple[Running, Any]]:
    """A server of one's own, and a stub that asks it."""
    with (
        running(bundles, **settings) as server,
        grpc_running(server.service) as url,
        grpc.insecure_channel(url) as channel,
    ):
        yield server, service_pb2_grpc.GRPCInferenceServiceStub(channel)


def asking(name: str, shape: list[int], datatype: str, model: str = "tiny_mapping", **contents: Any) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name=name, shape=shape, datatype=datatype)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    return request


def refused(call: Any, code: grpc.StatusCode, message: str, *arguments: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    assert message in caught.value.details()
    assert caught.value.code() is code
    return caught.value


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_typed_floats(stub: Any, tiny: Generator, datatype: str) -> None:
    z = tiny.latents([1])
    request = asking("z", [1, 7], datatype, **{f"{datatype.lower()}_contents": z.ravel().tolist()})
    answer = stub.ModelInfer(request)
    assert [(item.name, item.datatype, list(item.shape)) for item in answer.outputs] == [("w", "FP32", [1, 9])]
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), tiny.map(z)[0])


@pytest.mark.parametrize(
    ("datatype", "field"),
    [
        *((f"INT{bits}", "int_contents") for bits in (8, 16, 32)),
        *((f"UINT{bits}", "uint_contents") for bits in (8, 16, 32)),
        ("INT64", "int64_contents"),
        ("UINT64", "uint64_contents"),
    ],
)
def test_typed_whole_numbers(stub: Any, tiny: Generator, datatype: str, field: str) -> None:
    request = asking("seed", [1, 1], datatype, "tiny", **{field: [42]})
    request.outputs.add(name="pixels")
    answer = stub.ModelInfer(request)
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.uint8), tiny.generate([42]).ravel())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asking("z", [1, 7], "FP32"), "z has 0 values, expected 7: shape [1, 7]"),
        (asking("z", [1, 7], "FP32", fp32_contents=[0] * 8), "z has 8 values, expected 7"),
        (asking("z", [1, 7], "FP32", fp64_contents=[0] * 7), "z has fp64_contents, expected fp32_contents for FP32"),
        (asking("z", [1, 7], "FP32", bytes_contents=[b"0"]), "z has bytes_contents, expected fp32_contents for FP32"),
        (asking("z", [1, 7], "FP16"), "z is FP16, which has no typed contents; send raw_input_contents"),
        (asking("z", [1, 7], "BF16"), "z is BF16, which has no typed contents; send raw_input_contents"),
        (asking("z", [1, -7], "FP32"), "z has a dimension of -7, expected 0 to"),
        (asking("z", [1, 7], "BYTES", bytes_contents=[b""] * 7), "z has datatype BYTES, expected FP16 or"),
        (asking("z", [1, 7], "BOOL", bool_contents=[True] * 7), "z has datatype BOOL, expected FP16 or"),
        (asking("seed", [1, 1], "INT8", "tiny", int_contents=[300]), "seed holds 300, expected -128 to 127 for INT8"),
    ],
)
def test_wrong_contents(stub: Any, request_: Any, message: str) -> None:
    refused(stub.ModelInfer, grpc.StatusCode.INVALID_ARGUMENT, message, request_)


def test_wrong_raw_contents(stub: Any) -> None:
    request = asking("z", [1, 7], "FP32")
    request.raw_input_contents.extend([bytes(28), bytes(28)])
    told = "2 raw_input_contents for 1 inputs, expected one for each, or none at all"
    refused(stub.ModelInfer, grpc.StatusCode.INVALID_ARGUMENT, told, request)
    request = asking("z", [1, 7], "FP32", fp32_contents=[0] * 7)
    request.raw_input_contents.append(bytes(28))
    told = "z has contents beside raw_input_contents, expected one of them"
    refused(stub.ModelInfer, grpc.StatusCode.INVALID_ARGUMENT, told, request)
    request = asking("z", [1, 7], "FP32")
    request.raw_input_contents.append(bytes(27))
    refused(stub.ModelInfer, grpc.StatusCode.INVALID_ARGUMENT, "z has 27 bytes, expected 28: FP32", request)


def test_a_model_without_a_name(stub: Any) -> None:
    told = "model '' is not served, expected one of tiny, tiny_mapping, tiny_synthesis"
    refused(stub.ModelInfer, grpc.StatusCode.NOT_FOUND, told, service_pb2.ModelInferRequest())
    refused(stub.ModelReady, grpc.StatusCode.NOT_FOUND, told, service_pb2.ModelReadyRequest())


def test_streams_are_not_offered(stub: Any) -> None:
    told = "this server does without ModelStreamInfer; call ModelInfer for each request"
    refused(list, grpc.StatusCode.UNIMPLEMENTED, told, stub.ModelStreamInfer(iter([asking("z", [1, 7], "FP32")])))


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_compressed_requests(grpc_client: Asker, tiny: Generator, name: str) -> None:
    found = grpc_client.infer("tiny", {"seed": np.array([[1]])}, ["pixels"], compression_algorithm=name)
    np.testing.assert_array_equal(found.as_numpy("pixels"), tiny.generate([1]))


def test_messages_over_the_limit(tiny_bundle: Bundle) -> None:
    limits = Limits(max_body=4000)
    with asked({"tiny": tiny_bundle}, limits=limits) as (_, stub):
        request = asking("z", [1, 7], "FP32")
        request.raw_input_contents.append(bytes(5000))
        full = grpc.StatusCode.RESOURCE_EXHAUSTED
        refused(stub.ModelInfer, full, "larger than max", request)
        refused(stub.ModelInfer, full, "larger than max", request, compression=grpc.Compression.Gzip)


def test_tokens(tiny_bundle: Bundle) -> None:
    with asked({"tiny": tiny_bundle}, tokens=frozenset({"secret"})) as (_, stub):
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        request = service_pb2.ModelMetadataRequest(name="tiny")
        for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", "Basic secret"),)):
            told = "no token that this server knows; send the metadata 'authorization: Bearer TOKEN'"
            refused(stub.ModelMetadata, grpc.StatusCode.UNAUTHENTICATED, told, request, metadata=metadata)
        assert stub.ModelMetadata(request, metadata=(("authorization", "Bearer secret"),)).name == "tiny"


def test_who_gives_up_is_taken_out_of_the_queue(tiny_bundle: Bundle) -> None:
    request = asking("seed", [1, 1], "INT64", "tiny", int64_contents=[1])
    request.outputs.add(name="pixels")
    with asked({"tiny": tiny_bundle}) as (server, stub), Held(server) as held:
        worker = server.service.worker("cpu")
        drawing = stub.ModelInfer.future(request)
        assert held.began.wait(SECONDS)
        left, late = stub.ModelInfer.future(request), stub.ModelInfer.future(request, timeout=0.2)
        until(lambda: worker.depth == 2)
        left.cancel()
        assert late.exception(SECONDS).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: all(task.future.cancelled() for task in list(worker._tasks)))
        held.may_draw.set()
        assert drawing.result(SECONDS).outputs[0].name == "pixels"
    assert held.sizes == [1]


def test_a_full_queue(tiny_bundle: Bundle) -> None:
    with asked({"tiny": tiny_bundle}, limits=Limits(max_queue=2)) as (_, stub):
        request = asking("seed", [3, 1], "INT64", "tiny", int64_contents=[1, 2, 3])
        told = "3 more would be over the limit of 2"
        error = refused(stub.ModelInfer, grpc.StatusCode.RESOURCE_EXHAUSTED, told, request)
        assert dict(error.trailing_metadata())["retry-after"] == "1"


def test_not_ready(tiny_bundle: Bundle) -> None:
    with asked({"tiny": tiny_bundle}) as (server, stub):
        server.service.draining = True
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert not stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="tiny")).ready
        index = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        assert {item.reason for item in index.models} == {"the server is closing"}


def test_calls_are_counted_and_logged(grpc_client: Asker, served: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "runtime.server.access"):
        grpc_client.client.is_server_live()
        until(lambda: any(record.getMessage() == "GRPC ServerLive" for record in caplog.records))
    fields = next(record.fields for record in caplog.records if record.getMessage() == "GRPC ServerLive")  # type: ignore[attr-defined]
    assert (fields["method"], fields["path"], fields["status"]) == ("GRPC", "ServerLive", "OK")
    assert 'stylegan_edge_requests_total{route="grpc/ServerLive",status="OK"}' in served.service.metrics.text().decode()


def test_a_defect_is_told_as_one(tiny_bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with asked({"tiny": tiny_bundle}) as (server, stub):
        server.service.models.use = None  # type: ignore[assignment, method-assign]
        told = "a defect of the server; its log has the request's id"
        refused(stub.ModelInfer, grpc.StatusCode.INTERNAL, told, asking("z", [1, 7], "FP32"))
    assert "a defect: TypeError" in caplog.text


def test_a_taken_port() -> None:
    with Listening(port=0).bind() as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"can't listen on 127.0.0.1 port {port} .*; choose another"):
            Listening(port=0, grpc_port=port).bind()


def until(holds: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        threading.Event().wait(0.005)
