"""Requests and answers of `ModelInfer` by gRPC: messages with typed contents, or with raw bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from runtime.server.errors import BadRequestError
from runtime.server.inference.asking import (
    Asked,
    Declared,
    check_inputs,
    check_outputs,
    check_tensor_parameters,
    timeout_of,
)
from runtime.server.inference.interface import VERSION, Interface
from runtime.server.inference.tensors import from_binary, from_json, to_binary

FIELDS = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The field of `InferTensorContents` that holds a datatype. FP16 and BF16 have none; no model takes the others."""


class Message:
    """A `ModelInferRequest`: an `Exchange`."""

    def __init__(self, request: Any) -> None:
        self._request = request

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return int(self._request.ByteSize())

    def read(self, interface: Interface) -> Asked:
        """What is asked. Raises BadRequestError and NotOfferedError."""
        request = self._request
        declared = check_inputs(interface, request.inputs)
        for tensor in (*request.inputs, *request.outputs):
            check_tensor_parameters(tensor.name, _plain(tensor.parameters))
        raws = request.raw_input_contents
        if raws and len(raws) != len(declared):
            raise BadRequestError(
                f"{len(raws)} raw_input_contents for {len(declared)} inputs, expected one for each, or none at all"
            )
        arrays = {}
        for index, (tensor, item) in enumerate(zip(request.inputs, declared)):
            arrays[item.name] = _raw(tensor, item, raws[index]) if raws else _typed(tensor, item)
        outputs = check_outputs(interface, [item.name for item in request.outputs])
        return Asked(arrays, outputs, timeout_of(_plain(request.parameters)))

    def write(self, interface: Interface, asked: Asked, arrays: Mapping[str, np.ndarray]) -> Any:
        """The `ModelInferResponse`, its outputs as raw bytes, in the order in which they were asked for."""
        answer = service_pb2.ModelInferResponse(model_name=interface.name, model_version=VERSION, id=self._request.id)
        known = {item.name: item.datatype for item in interface.outputs}
        for name in asked.outputs:
            answer.outputs.add(name=name, datatype=known[name], shape=arrays[name].shape)
            answer.raw_output_contents.append(to_binary(known[name], arrays[name]))
        return answer


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON would have them."""
    plain = {}
    for name, value in parameters.items():
        choice = value.WhichOneof("parameter_choice")
        plain[name] = None if choice is None else getattr(value, choice)
    return plain


def _raw(tensor: Any, item: Declared, raw: bytes) -> np.ndarray:
    if tensor.HasField("contents"):
        raise BadRequestError(f"{item.name} has contents beside raw_input_contents, expected one of them")
    return from_binary(item.name, item.datatype, item.shape, raw)


def _typed(tensor: Any, item: Declared) -> np.ndarray:
    if item.datatype not in FIELDS:
        raise BadRequestError(f"{item.name} is {item.datatype}, which has no typed contents; send raw_input_contents")
    expected = FIELDS[item.datatype]
    for found, _ in tensor.contents.ListFields():
        if found.name != expected:
            raise BadRequestError(f"{item.name} has {found.name}, expected {expected} for {item.datatype}")
    return from_json(item.name, item.datatype, item.shape, list(getattr(tensor.contents, expected)))
