"""Triton's `onnxruntime` backend for a server that has none: the model's file in ONNX Runtime, by the Python backend.

It does what the repository relies on: requests that came together run as one batch, and what goes in and out must be
what the configuration says, which the Python backend itself does not check.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

TYPES = {"TYPE_FP32": "tensor(float)", "TYPE_UINT8": "tensor(uint8)"}
ARRAYS = {"TYPE_FP32": np.float32, "TYPE_UINT8": np.uint8}


class TritonPythonModel:
    """One model of a repository."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load `VERSION/model.onnx` and hold it against the configuration."""
        self.config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = folder / self.config["default_model_filename"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for tensors, found in (
            (self.config["input"], self.session.get_inputs()),
            (self.config["output"], self.session.get_outputs()),
        ):
            expected = [(item["name"], TYPES[item["data_type"]], sizes(item)) for item in tensors]
            described = [(item.name, item.type, item.shape[1:]) for item in found]
            assert expected == described, f"{expected} is not {described}"
            assert all(isinstance(item.shape[0], str) for item in found), "the batch is not free"

    def execute(self, requests: list[Any]) -> list[Any]:
        """All requests as one batch."""
        given = {item["name"]: self.gather(requests, item) for item in self.config["input"]}
        counts = [len(triton.get_input_tensor_by_name(item, next(iter(given))).as_numpy()) for item in requests]
        assert sum(counts) <= self.config["max_batch_size"], counts
        names = [item["name"] for item in self.config["output"]]
        results = self.session.run(names, given)
        for item, array in zip(self.config["output"], results):
            assert array.shape == (sum(counts), *sizes(item)), (item, array.shape)
            assert array.dtype == ARRAYS[item["data_type"]], (item, array.dtype)
        ends = np.cumsum(counts)
        parts = [slice(end - count, end) for end, count in zip(ends, counts)]
        return [
            triton.InferenceResponse([triton.Tensor(name, array[part]) for name, array in zip(names, results)])
            for part in parts
        ]

    def gather(self, requests: list[Any], described: dict[str, Any]) -> np.ndarray:
        """One input of all requests."""
        name = described["name"]
        arrays = [triton.get_input_tensor_by_name(item, name).as_numpy() for item in requests]
        for array in arrays:
            assert list(array.shape[1:]) == sizes(described), (described, array.shape)
            assert array.dtype == ARRAYS[described["data_type"]], (described, array.dtype)
        return np.concatenate(arrays)


def sizes(described: dict[str, Any]) -> list[int]:
    """Dimensions without the batch."""
    return [int(size) for size in described["dims"]]
