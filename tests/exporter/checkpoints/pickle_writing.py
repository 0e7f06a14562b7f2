"""Writes pickles and torch files byte by byte, so that tests can say what no honest writer would."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

PROTO = b"\x80\x04"
STOP = b"."
MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM_INFORMATION = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def plain(value: Any) -> bytes:
    """Instructions that push plain data."""
    return pickle.dumps(value, protocol=3)[2:-1]


def text(value: str) -> bytes:
    """BINUNICODE, without a memo entry."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    """GLOBAL: push what a module calls by this name."""
    return f"c{module}\n{attribute}\n".encode()


def stack_name(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL: the same, from two texts on the stack."""
    return text(module) + text(attribute) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE: call a function with arguments."""
    return function + b"(" + b"".join(arguments) + b"t" + b"R"


def pickled(*instructions: bytes) -> bytes:
    """A whole pickle."""
    return PROTO + b"".join(instructions) + STOP


def storage_identity(
    kind: str = "FloatStorage", key: Any = "0", count: Any = 4, more: Sequence[Any] = (None,)
) -> bytes:
    """BINPERSID of a storage, as torch.save names it; `more` ends the tuple (nothing in zip archives)."""
    tail = b"".join(plain(item) for item in more)
    return b"(" + text("storage") + name("torch", kind) + plain(key) + text("cpu") + plain(count) + tail + b"tQ"


def torch_stream(
    value: bytes,
    keys: Any = ("0",),
    data: bytes = struct.pack("<q4f", 4, 1, 2, 3, 4),
    information: Mapping[str, Any] = SYSTEM_INFORMATION,
    version: int = 1001,
) -> bytes:
    """torch.save's stream format: four pickles of its own around `value`, then each storage's length and bytes."""
    head = [pickle.dumps(item, protocol=2) for item in (MAGIC, version, dict(information))]
    return b"".join(head) + pickled(value) + pickle.dumps(list(keys), protocol=2) + data


def storage(kind: str = "FloatStorage", data: bytes = struct.pack("<4f", 1, 2, 3, 4), count: int = 4) -> bytes:
    """A storage inside an NVIDIA pickle: a call of `_load_from_bytes` on a stream."""
    stream = torch_stream(storage_identity(kind, count=count), data=struct.pack("<q", count) + data)
    return call(name("torch.storage", "_load_from_bytes"), plain(stream))


def tensor(storage: bytes, size: Any = (4,), stride: Any = (1,), offset: Any = 0) -> bytes:
    """A view of a storage: a call of `_rebuild_tensor_v2`."""
    view = [plain(item) for item in (offset, size, stride, False)]
    return call(name("torch._utils", "_rebuild_tensor_v2"), storage, *view, call(name("collections", "OrderedDict")))


def nested_lists(depth: int, width: int = 1) -> bytes:
    """Lists within lists, each holding the next one `width` times: width ** depth values in a few bytes a level."""
    if width == 1:
        return b"]" * depth + b"a" * (depth - 1)
    return b"(" * depth + b"]" + (b"2" * (width - 1) + b"l") * depth


def torch_zip(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of members under `archive/`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for member, data in members.items():
            archive.writestr(f"archive/{member}", data)
    return file.getvalue()
