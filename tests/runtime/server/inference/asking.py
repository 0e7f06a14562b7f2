"""Triton's clients, unmodified, called alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.utils import np_to_triton_dtype


@dataclass(frozen=True)
class Asker:
    """A client: `tritonclient.http` or `tritonclient.grpc`, which differ in the module alone."""

    module: Any
    client: Any

    @property
    def is_grpc(self) -> bool:
        return bool(self.module.__name__.endswith("grpc"))

    def tensor(self, name: str, array: np.ndarray) -> Any:
        tensor = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        return tensor

    def infer(
        self, model: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None, **options: Any
    ) -> Any:
        wanted = [self.module.InferRequestedOutput(name) for name in outputs] if outputs else None
        return self.client.infer(
            model, [self.tensor(name, array) for name, array in inputs.items()], outputs=wanted, **options
        )

    def plain(self, answer: Any) -> Any:
        """What a client tells as a document, by gRPC with its defaults left out."""
        if not self.is_grpc:
            return answer
        from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

        return MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
