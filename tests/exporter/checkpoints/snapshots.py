"""The example checkpoint as plain data that tests spoil, and NVIDIA pickles made of it."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.exporter.checkpoints.pickle_writing import storage_identity, torch_stream

EXAMPLE = Path(__file__).parents[3] / "examples" / "avatars-64.pkl"
SIDE, WIDTH = 8, 4


@dataclass(frozen=True)
class Name:
    """A global, by name: nothing is imported to read or write it."""

    module: str
    attribute: str

    def __call__(self, *arguments: Any) -> Call:
        return Call(self, arguments)


class Call:
    """A call of a global, with the state set on its result."""

    def __init__(self, function: Name, arguments: tuple[Any, ...], state: Any = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments, self.state

    @property
    def record(self) -> dict[str, Any]:
        """A module's record: version, class name, state."""
        return self.arguments[0]  # type: ignore[no-any-return]


class Made:
    """An object made by its class without arguments (NEWOBJ), and the state set on it."""

    def __init__(self, type_: Name, state: Any = None) -> None:
        self.type, self.state = type_, state


@dataclass(frozen=True)
class Raw:
    """Instructions written as they are."""

    instructions: bytes


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, attribute: str) -> Any:
        return OrderedDict if attribute == "OrderedDict" else Name(module, attribute)


class _Writer(pickle._Pickler):
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Name):
            self.write(f"c{obj.module}\n{obj.attribute}\n".encode())  # type: ignore[attr-defined]
        elif isinstance(obj, Raw):
            self.write(obj.instructions)  # type: ignore[attr-defined]
        elif isinstance(obj, Made) and id(obj) not in self.memo:  # type: ignore[attr-defined]
            self._save_made(obj)
        else:
            super().save(obj, save_persistent_id)  # type: ignore[misc]

    def _save_made(self, obj: Made) -> None:
        self.save(obj.type)
        self.write(b")\x81")  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]
        if obj.state is not None:
            self.save(obj.state)
            self.write(b"b")  # type: ignore[attr-defined]


def to_pickle(snapshot: Any, protocol: int = 4) -> bytes:
    """What NVIDIA's training writes."""
    file = io.BytesIO()
    _Writer(file, protocol=protocol).dump(snapshot)
    return file.getvalue()


def small_snapshot() -> dict[str, Any]:
    """A fresh copy of the example, stopped at SIDE pixels and made WIDTH narrow."""
    return _Reader(io.BytesIO(_small_pickle())).load()  # type: ignore[no-any-return]


@cache
def _small_pickle() -> bytes:
    with EXAMPLE.open("rb") as file:
        snapshot = _Reader(file).load()
    generator, synthesis = state(snapshot), state(snapshot, "synthesis")
    for side in (16, 32, 64):
        del synthesis["_modules"][f"b{side}"]
    synthesis["block_resolutions"] = [4, SIDE]
    generator.update(img_resolution=SIDE, num_ws=4, z_dim=WIDTH, w_dim=WIDTH)
    _shrink(snapshot["G_ema"])
    return to_pickle(snapshot)


def _shrink(part: Call) -> None:
    """Zeros, WIDTH wide, for all tensors but the filters: what is left of the file is structure."""
    attributes = part.record["state"]
    for group in (attributes["_parameters"], attributes["_buffers"]):
        for key, value in group.items():
            if value is not None and key != "resample_filter":
                is_parameter = value.function.attribute == "_rebuild_parameter"
                size = (value.arguments[0] if is_parameter else value).arguments[2]
                tensor = tensor_of(np.zeros([WIDTH if count >= 64 else count for count in size], np.float32))
                group[key] = Call(value.function, (tensor, *value.arguments[1:])) if is_parameter else tensor
    for child in attributes["_modules"].values():
        if child is not None:
            _shrink(child)


def state(snapshot: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The attributes of a module, "" being the generator."""
    found = module(snapshot, path).record["state"]
    assert isinstance(found, dict)
    return found


def module(snapshot: dict[str, Any], path: str = "") -> Call:
    """A module of the generator."""
    found = snapshot["G_ema"]
    for part in filter(None, path.split(".")):
        found = found.record["state"]["_modules"][part]
    assert isinstance(found, Call)
    return found


def set_tensor(snapshot: dict[str, Any], path: str, array: np.ndarray) -> None:
    """Replace or add a parameter (or the buffer of that name) of a module."""
    owner, _, name = path.rpartition(".")
    attributes = state(snapshot, owner)
    group = "_buffers" if name in attributes["_buffers"] else "_parameters"
    attributes[group][name] = tensor_of(array)


def tensor_of(array: np.ndarray) -> Call:
    """An array as NVIDIA's pickles hold a tensor."""
    kinds = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "i4": "IntStorage"}
    kind = kinds[array.dtype.str[1:]]
    data = struct.pack("<q", array.size) + array.tobytes()
    stream = torch_stream(storage_identity(kind, count=array.size), data=data)
    stride = tuple(step // array.itemsize for step in np.ascontiguousarray(array).strides) if array.ndim else ()
    loaded = Call(Name("torch.storage", "_load_from_bytes"), (stream,))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (loaded, 0, array.shape, stride, False, OrderedDict()))
