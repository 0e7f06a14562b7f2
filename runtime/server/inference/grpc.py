"""The Open Inference Protocol by gRPC: the service `inference.GRPCInferenceService`. The extra `grpc`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from runtime.errors import InputError, StyleganEdgeError
from runtime.server.errors import NotOfferedError, RequestError, UnauthorizedError, status_of
from runtime.server.inference.asking import LOG_SETTINGS, SHARED_MEMORY, TRACING, without
from runtime.server.inference.messages import Message
from runtime.server.inference.models import LOADING, InferenceModels
from runtime.server.logs import ACCESS, REQUEST_ID, request_id
from runtime.server.middleware import DEFECT
from runtime.server.tokens import bearer, is_known

SERVICE = "GRPCInferenceService"
OPEN_METHODS = frozenset({"ServerLive", "ServerReady"})
"""What is answered without a token."""
CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""Of the HTTP status of an error; INVALID_ARGUMENT of others."""

_log = logging.getLogger(__name__)
_access = logging.getLogger(ACCESS)

Handler = Callable[[Any], Awaitable[Any]]


class GrpcServer:
    """Answers from the event loop in which it was started."""

    def __init__(self, models: InferenceModels) -> None:
        self._models, self._service = models, models.service
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, certificate: tuple[bytes, bytes] | None = None) -> int:
        """Listen on `address`, "host:port", by TLS where there is a certificate and its key; the port, chosen where 0.

        Raises InputError where that can't be.
        """
        limits = self._service.settings.limits
        options = [
            ("grpc.max_receive_message_length", limits.max_body),
            ("grpc.max_send_message_length", -1),  # images of a request are limited, and so are their bytes
            ("grpc.so_reuseport", 0),  # else two servers share a port, and nobody hears of it
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=limits.max_connections)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self._servicer(), self._server)
        try:
            if certificate is None:
                port = self._server.add_insecure_port(address)
            else:
                pem, key = certificate
                port = self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, pem)]))
        except RuntimeError:
            raise InputError(f"can't listen for gRPC on {address}; choose another --grpc-port") from None
        await self._server.start()
        return int(port)

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and return once those there are have ended, after `seconds` at the latest."""
        if self._server is not None:
            await self._server.stop(seconds)

    def _servicer(self) -> Any:
        """All methods of the service: those that are answered, and others that say why not."""
        answered: dict[str, Handler] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
        }
        methods: dict[str, Any] = {"ModelInfer": self._answering("ModelInfer", self._model_infer)}
        for method in service_pb2.DESCRIPTOR.services_by_name[SERVICE].methods:
            if method.name not in methods:
                methods[method.name] = self._answering(method.name, answered.get(method.name) or _refusing(method.name))
        return SimpleNamespace(**methods)

    def _answering(self, name: str, handler: Handler) -> Any:
        """A method: the handler, with a request id, tokens, figures, and errors as statuses."""

        async def answer(request: Any, context: Any) -> Any:
            start = time.perf_counter()
            metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            REQUEST_ID.set(request_id(metadata.get("x-request-id")))
            code = grpc.StatusCode.OK
            try:
                with self._span(name, metadata):
                    self._check_token(name, metadata)
                    return await handler(request)
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except StyleganEdgeError as error:
                self._service.metrics.failed(error)
                code = CODES.get(status_of(error), grpc.StatusCode.INVALID_ARGUMENT)
                told = error.headers if isinstance(error, RequestError) else {}
                await context.abort(code, str(error), tuple((key.lower(), value) for key, value in told.items()))
            except Exception as error:
                code = grpc.StatusCode.INTERNAL
                _log.exception("a defect: %s", type(error).__name__)
                self._service.metrics.failed(error)
                await context.abort(code, DEFECT)
            finally:
                self._tell(name, context.peer(), code, time.perf_counter() - start)

        return answer

    def _span(self, name: str, metadata: dict[str, str]) -> Any:
        """A span of the call where it is traced."""
        if self._service.tracing is None:
            return nullcontext()
        headers = [(key.encode(), value.encode()) for key, value in metadata.items()]
        return self._service.tracing.request({"method": "GRPC", "path": f"/{name}", "headers": headers})

    def _check_token(self, name: str, metadata: dict[str, str]) -> None:
        tokens = [token.encode() for token in self._service.settings.tokens]
        given = bearer(metadata.get("authorization", ""))
        if tokens and name not in OPEN_METHODS and not is_known(given, tokens):
            raise UnauthorizedError("no token that this server knows; send the metadata 'authorization: Bearer TOKEN'")

    def _tell(self, name: str, peer: str, code: grpc.StatusCode, seconds: float) -> None:
        self._service.metrics.requests.labels(f"grpc/{name}", code.name).inc()
        self._service.metrics.latency.labels("request").observe(seconds)
        fields = {"method": "GRPC", "path": name, "status": code.name, "ms": round(seconds * 1000, 2), "client": peer}
        _access.info("GRPC %s", name, extra={"fields": fields})

    async def _server_live(self, _: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    async def _server_ready(self, _: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=self._service.trouble is None)

    async def _model_ready(self, request: Any) -> Any:
        with self._models.use(request.name, request.version):
            return service_pb2.ModelReadyResponse(ready=self._service.trouble is None)

    async def _server_metadata(self, _: Any) -> Any:
        return service_pb2.ServerMetadataResponse(**self._models.server())

    async def _model_metadata(self, request: Any) -> Any:
        return ParseDict(self._models.metadata(request.name, request.version), service_pb2.ModelMetadataResponse())

    async def _model_config(self, request: Any) -> Any:
        config = ParseDict(self._models.config(request.name, request.version), model_config_pb2.ModelConfig())
        return service_pb2.ModelConfigResponse(config=config)

    async def _model_statistics(self, request: Any) -> Any:
        return ParseDict(self._models.counted(request.name, request.version), service_pb2.ModelStatisticsResponse())

    async def _repository_index(self, request: Any) -> Any:
        return ParseDict({"models": self._models.index(request.ready)}, service_pb2.RepositoryIndexResponse())

    async def _model_infer(self, request: Any) -> Any:
        since = time.perf_counter()
        return await self._models.infer(request.model_name, request.model_version, Message(request), since)


def _refusing(name: str) -> Handler:
    """The handler of a method that is not answered."""
    if name.startswith("RepositoryModel"):
        error = NotOfferedError(LOADING)
    elif "SharedMemory" in name:
        error = without(SHARED_MEMORY)
    elif name == "TraceSetting":
        error = without(TRACING)
    elif name == "LogSettings":
        error = without(LOG_SETTINGS)
    else:
        error = without(f"{name}; call ModelInfer for each request")

    async def refuse(_: Any) -> Any:
        raise NotOfferedError(str(error))

    return refuse
