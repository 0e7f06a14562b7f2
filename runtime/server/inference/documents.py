"""Requests and answers of `infer` by REST: a JSON document, and behind it the raw bytes of tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from runtime.errors import quoted
from runtime.server.bodies import MAX_LENGTH_DIGITS, check_depth
from runtime.server.errors import BadRequestError
from runtime.server.faults import first_fault
from runtime.server.inference.asking import (
    Asked,
    Declared,
    check_inputs,
    check_outputs,
    check_tensor_parameters,
    timeout_of,
)
from runtime.server.inference.interface import VERSION, Interface, Tensor
from runtime.server.inference.tensors import DTYPES, from_binary, from_json, to_binary, to_json
from runtime.server.limits import Limits

BINARY_SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"

Parameters = dict[str, Any]


class _Part(BaseModel):
    """Of lists, the first thing that is wrong is enough: a body has room for millions, each told in a kilobyte."""

    model_config = ConfigDict(strict=True)


class _Input(_Part):
    name: str
    shape: Annotated[list[int], FailFast()]
    datatype: str
    parameters: Parameters | None = None
    data: Any = None


class _Output(_Part):
    name: str
    parameters: Parameters | None = None


class _Document(_Part):
    id: str | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[_Input], FailFast()]
    outputs: Annotated[list[_Output], FailFast()] = Field(default_factory=list)


@dataclass(frozen=True)
class Written:
    """An answer: `header` is the length of its JSON where raw bytes follow."""

    body: bytes
    header: int | None


@dataclass
class Document:
    """A request's body and the Inference-Header-Content-Length that came with it: an `Exchange`."""

    body: bytes
    header: str | None
    limits: Limits
    _identity: str | None = None
    _binary: dict[str, bool] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body)

    def read(self, interface: Interface) -> Asked:
        """What is asked. Raises BadRequestError and NotOfferedError."""
        length = self._header_length()
        if length == 0:
            return self._read_raw(interface)
        head = self.body if length is None else self.body[:length]
        raw = memoryview(b"") if length is None else memoryview(self.body)[length:]
        check_depth(head, self.limits)
        document = _parse(head)
        parameters = document.parameters or {}
        declared = check_inputs(interface, document.inputs)
        arrays = _arrays(document.inputs, declared, raw)
        outputs = check_outputs(interface, [item.name for item in document.outputs])
        self._identity = document.id
        self._binary = _forms(document, outputs, _flag(ALL_BINARY, parameters))
        return Asked(arrays, outputs, timeout_of(parameters))

    def write(self, interface: Interface, asked: Asked, arrays: Mapping[str, np.ndarray]) -> Written:
        """The answer, its outputs in the order in which they were asked for."""
        described, parts = [], []
        known = {item.name: item.datatype for item in interface.outputs}
        for name in asked.outputs:
            array, datatype = arrays[name], known[name]
            output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
            if self._binary[name]:
                parts.append(to_binary(datatype, array))
                output["parameters"] = {BINARY_SIZE: len(parts[-1])}
            else:
                output["data"] = to_json(name, datatype, array)
            described.append(output)
        document: dict[str, Any] = {"model_name": interface.name, "model_version": VERSION, "outputs": described}
        if self._identity is not None:
            document["id"] = self._identity
        head = json.dumps(document, separators=(",", ":")).encode()
        return Written(b"".join([head, *parts]), len(head) if parts else None)

    def _header_length(self) -> int | None:
        if self.header is None:
            return None
        told = self.header.strip()
        if not (told.isascii() and told.isdecimal()) or len(told) > MAX_LENGTH_DIGITS:
            raise BadRequestError(
                f"Inference-Header-Content-Length is {quoted(told)}, expected the length of the JSON in bytes"
            )
        if int(told) > len(self.body):
            raise BadRequestError(f"Inference-Header-Content-Length is {told}, but the body has {len(self.body)} bytes")
        return int(told)

    def _read_raw(self, interface: Interface) -> Asked:
        """The body is the tensor of the one input that can't be left out; all outputs go back in the same way."""
        needed = [item for item in interface.inputs if not item.optional]
        if len(needed) != 1:
            raise BadRequestError(
                f"a body without JSON is the tensor of a model's only input, but {interface.name} needs "
                f"{', '.join(item.name for item in needed)}; send JSON and its length"
            )
        array = _whole_images(needed[0], self.body)
        outputs = check_outputs(interface, [])
        self._binary = dict.fromkeys(outputs, True)
        return Asked({needed[0].name: array}, outputs)


def _parse(head: bytes) -> _Document:
    try:
        return _Document.model_validate_json(head)
    except ValidationError as error:
        raise BadRequestError(first_fault(error)) from None


def _arrays(inputs: Sequence[_Input], declared: Sequence[Declared], raw: memoryview) -> dict[str, np.ndarray]:
    """The inputs' arrays, of `data` or of the raw bytes in their order."""
    arrays = {}
    for tensor, item in zip(inputs, declared):
        parameters = tensor.parameters or {}
        check_tensor_parameters(item.name, parameters)
        if BINARY_SIZE not in parameters:
            arrays[item.name] = from_json(item.name, item.datatype, item.shape, tensor.data)
            continue
        size = parameters[BINARY_SIZE]
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw):
            raise BadRequestError(
                f"{item.name} has {BINARY_SIZE} {quoted(size)}, but {len(raw)} bytes are left of the body"
            )
        if tensor.data is not None:
            raise BadRequestError(f"{item.name} has both 'data' and {BINARY_SIZE}, expected one of them")
        arrays[item.name] = from_binary(item.name, item.datatype, item.shape, raw[:size])
        raw = raw[size:]
    if len(raw):
        raise BadRequestError(f"the body has {len(raw)} bytes after its last tensor")
    return arrays


def _forms(document: _Document, outputs: Sequence[str], default: bool) -> dict[str, bool]:
    """By output, whether it goes back as raw bytes."""
    forms = dict.fromkeys(outputs, default)
    for output in document.outputs:
        parameters = output.parameters or {}
        check_tensor_parameters(output.name, parameters)
        forms[output.name] = _flag(BINARY, parameters, default)
    return forms


def _flag(name: str, parameters: Parameters, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequestError(f"the parameter {name} is {quoted(value)}, expected true or false")
    return value


def _whole_images(tensor: Tensor, body: bytes) -> np.ndarray:
    """A body as an input of as many images as it has bytes for."""
    size = DTYPES[tensor.datatype].itemsize * int(np.prod(tensor.dims))
    if not body or len(body) % size:
        raise BadRequestError(
            f"the body has {len(body)} bytes, expected a multiple of {size}: {tensor.name} {tensor.datatype} "
            f"of shape {tensor.shape}"
        )
    return from_binary(tensor.name, tensor.datatype, (len(body) // size, *tensor.dims), body)
