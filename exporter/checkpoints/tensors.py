"""Tensors and arrays inside pickles, rebuilt as NumPy arrays with every size checked against the bytes present."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import IO, Any

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.pickle_machine import AllowList, BoundedReader, Global, Instance, load_pickle
from exporter.checkpoints.shown import quoted, shown
from runtime.errors import CheckpointError

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of torch.save's stream format (before torch 1.6, and inside NVIDIA's pickles)."""
TORCH_STREAM_VERSION = 1001

STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("?"),
}


def _refuse_call(*_: Any) -> Any:
    raise CheckpointError("the pickle is damaged: a storage type is called")


STORAGE_GLOBALS: AllowList = {("torch", name): _refuse_call for name in STORAGE_TYPES}


def storage_dtype(storage_type: Any) -> np.dtype[Any]:
    """Element type of a torch storage class, given as the pickle names it."""
    if not isinstance(storage_type, Global) or storage_type.name not in STORAGE_TYPES:
        raise CheckpointError(
            f"the checkpoint has a tensor of type {_name(storage_type)}, expected one of torch's storages"
        )
    return STORAGE_TYPES[storage_type.name]


def _name(value: Any) -> str:
    return shown(str(value)) if isinstance(value, Global) else quoted(value)


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """`torch._utils._rebuild_tensor_v2`: a strided view of a storage (any memory format), bounds checked."""
    if not isinstance(storage, np.ndarray):
        raise CheckpointError("the pickle is damaged: a tensor has no storage")
    if not (_counts(size) and _counts(stride) and len(size) == len(stride) <= limits.MAX_TENSOR_DIMENSIONS):
        raise CheckpointError("the pickle is damaged: a tensor's size and stride do not fit")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride))
    if offset < 0 or (math.prod(size) and last >= storage.size):
        raise CheckpointError(f"a tensor of size {size} reaches beyond its storage of {storage.size} elements")
    if math.prod(size) == 0:
        return np.zeros(size, storage.dtype)
    if math.prod(size) > storage.size:  # a stride of 0 would let few bytes claim any size
        raise CheckpointError(f"a tensor of size {size} repeats its storage of {storage.size} elements")
    step = storage.itemsize
    return np.lib.stride_tricks.as_strided(
        storage[offset:], size, tuple(count * step for count in stride), writeable=False
    )


def rebuild_parameter(tensor: Any, *_: Any) -> Any:
    """`torch._utils._rebuild_parameter`: the tensor itself."""
    return tensor


class StorageStreams:
    """`torch.storage._load_from_bytes` for one pickle: storages in torch.save's stream format.

    Bytes that the pickle hands in again give the same storage, so that a short file can't ask for much memory.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, np.ndarray]] = {}

    def __call__(self, data: Any) -> np.ndarray:
        """The storage that `data` holds."""
        if not isinstance(data, bytes):
            raise CheckpointError("the pickle is damaged: a storage is not made of bytes")
        if id(data) not in self._known:
            value = load_torch_stream(io.BytesIO(data), len(data), {})
            if not isinstance(value, np.ndarray):
                raise CheckpointError(f"the pickle is damaged: a storage holds a {type(value).__name__}")
            self._known[id(data)] = (data, value)  # holding `data` keeps its identity its own
        return self._known[id(data)][1]


def load_torch_stream(file: IO[bytes], size: int, allowed: AllowList) -> Any:
    """Read torch.save's stream format: magic, version, system information, the value, keys, then the storages.

    Tensors come back as NumPy arrays. Raises CheckpointError or UnsafeCheckpointError.
    """
    reader = BoundedReader(file, size)
    magic, version, system = (load_pickle(reader, {}) for _ in range(3))
    if magic != TORCH_MAGIC or version != TORCH_STREAM_VERSION or not isinstance(system, dict):
        raise CheckpointError("not a torch.save stream of a known version")
    if system.get("little_endian") is not True:
        raise CheckpointError("the checkpoint was written on a big-endian machine, which is not supported")
    storages: dict[str, np.ndarray] = {}

    def persistent_load(identity: Any) -> np.ndarray:
        _, storage_type, key, _, count = parse_storage_identity(identity, extra=1)
        dtype = storage_dtype(storage_type)
        if key not in storages:
            announced = count * dtype.itemsize + sum(storage.nbytes for storage in storages.values())
            if announced > size:
                raise CheckpointError(f"the storages announce {announced:,} bytes in a file of {size:,}")
            storages[key] = np.zeros(count, dtype)
        return storages[key]

    value = load_pickle(reader, {**allowed, **STORAGE_GLOBALS}, persistent_load)
    keys = load_pickle(reader, {})
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or sorted(keys) != sorted(storages):
        raise CheckpointError("the file is damaged: its storages are not those that its tensors refer to")
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(reader.read(8), "little", signed=True)
        if count != storage.size:
            raise CheckpointError(f"the file is damaged: storage {key} has {count} elements, {storage.size} announced")
        storage[:] = np.frombuffer(reader.read(storage.nbytes), storage.dtype) if count else 0
    return value


def parse_storage_identity(identity: Any, extra: int = 0) -> tuple[str, Global, str, str, int]:
    """Check a storage's persistent identity: ('storage', type, key, location, elements) and `extra` more."""
    if not (isinstance(identity, tuple) and len(identity) in (5, 5 + extra) and identity[0] == "storage"):
        raise CheckpointError("the pickle is damaged: a storage has no identity")
    if len(identity) == 6 and identity[5] is not None:
        raise CheckpointError("the checkpoint shares storages as views, which is not supported: save it again")
    kind, storage_type, key, location, count = identity[:5]
    if not (isinstance(key, str) and isinstance(count, int) and count >= 0):
        raise CheckpointError("the pickle is damaged: a storage's identity is malformed")
    return kind, storage_type, key, location, count


def rebuild_numpy_dtype(code: Any, *_: Any) -> Instance:
    """`numpy.dtype`: held as data until its byte order arrives with BUILD."""
    return Instance(Global("numpy", "dtype"), (code,))


def rebuild_numpy_scalar(dtype: Any, data: Any = None, *_: Any) -> Any:
    """`numpy.core.multiarray.scalar`: a Python number."""
    return array_from_bytes(data, dtype, (1,))[0].item()


def rebuild_numpy_array(*_: Any) -> Instance:
    """`numpy.core.multiarray._reconstruct`: its shape, type and bytes arrive with BUILD; see `as_array`."""
    return Instance(Global("numpy", "ndarray"))


def rebuild_numpy_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> np.ndarray:
    """`numpy.core.numeric._frombuffer`: an array written with pickle protocol 5."""
    return array_from_bytes(data, dtype, shape, order)


def as_array(value: Any) -> np.ndarray | None:
    """The NumPy array that a pickled value stands for, or None where it is something else."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, float):
        return np.array(value)
    if not (isinstance(value, Instance) and value.type == Global("numpy", "ndarray")):
        return None
    if not (isinstance(value.state, tuple) and len(value.state) == 5):
        raise CheckpointError("the pickle is damaged: an array has no state")
    _, shape, dtype, fortran, data = value.state
    return array_from_bytes(data, dtype, shape, "F" if fortran else "C")


def drop_ones(what: str, array: np.ndarray, ones: int) -> np.ndarray:
    """An array without its first `ones` dimensions. Raises CheckpointError where they are not 1."""
    if array.shape[:ones] != (1,) * ones:
        raise CheckpointError(f"{what} has shape {list(array.shape)}, expected {', '.join('1' * ones)} in front")
    return array[(0,) * ones] if ones else array


def check_bytes(arrays: Iterable[np.ndarray], size: int) -> None:
    """Raise CheckpointError where a network's tensors take more bytes than its file has.

    That is where they share bytes, which no trained network's do: a copy of each would take any amount of memory.
    """
    total = sum(array.nbytes for array in arrays)
    if total > size:
        raise CheckpointError(
            f"the generator's tensors have {total:,} bytes in a file of {size:,}: they share them, expected its own "
            "for each"
        )


def array_from_bytes(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """An array of `shape` over `data`; numbers only, and exactly as many bytes as the shape needs."""
    element = _number_dtype(dtype)
    if not isinstance(data, (bytes, bytearray)) or not _counts(shape) or len(shape) > limits.MAX_TENSOR_DIMENSIONS:
        raise CheckpointError("the pickle is damaged: an array is not made of bytes and a shape")
    if math.prod(shape) * element.itemsize != len(data):
        raise CheckpointError(f"an array of shape {shape} and type {element} has {len(data)} bytes")
    return np.frombuffer(data, element).reshape(shape, order="F" if order == "F" else "C")


def _number_dtype(dtype: Any) -> np.dtype[Any]:
    code = dtype.args[0] if isinstance(dtype, Instance) and dtype.args else None
    if not isinstance(code, str) or len(code) > 3 or code[:1] not in tuple("fiub"):
        raise CheckpointError(f"the checkpoint has an array of type {quoted(code)}, expected numbers")
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "|"
    try:
        return np.dtype(f"{order}{code}" if order in ("<", ">") else code)
    except TypeError:
        raise CheckpointError(f"the checkpoint has an array of type {quoted(code)}, expected numbers") from None


def _counts(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and value >= 0 for value in values)


NUMPY_GLOBALS: AllowList = {
    ("numpy", "dtype"): rebuild_numpy_dtype,
    ("numpy", "ndarray"): _refuse_call,
    **{(f"numpy.{core}.multiarray", "scalar"): rebuild_numpy_scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): rebuild_numpy_array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): rebuild_numpy_buffer for core in ("core", "_core")},
}

TORCH_GLOBALS: AllowList = {
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
}
