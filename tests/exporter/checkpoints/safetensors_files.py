"""Writes safetensors files whose header says anything."""

from __future__ import annotations

import json
import struct
from typing import Any

from runtime.spec import GeneratorSpec
from tests.tiny import tiny_spec

DEFAULT = tiny_spec()


def safetensors(header: Any, data: bytes = b"", announced: int | None = None) -> bytes:
    """A file with this header, text or JSON, which announces another length where told so."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if announced is None else announced) + text + data


def ours(spec: GeneratorSpec = DEFAULT, /, version: Any = 2, **changes: Any) -> dict[str, Any]:
    """A header with our metadata and no tensor; `changes` replace fields, as in `synthesis__filtered__0__up`."""
    specification = spec.to_json()
    for key, value in changes.items():
        *parents, last = key.split("__")
        target: Any = specification
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[last] = value
    return metadata(json.dumps({"format_version": version, "specification": specification}))


def metadata(text: str) -> dict[str, Any]:
    """A header with this text where our metadata belongs."""
    return {"__metadata__": {"stylegan-edge": text}}
