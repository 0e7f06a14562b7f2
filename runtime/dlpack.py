"""A DLPack capsule of memory that is described by hand: NumPy makes them for host memory alone.

The structures are those of `dlpack.h`, version 0.8: https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

CPU, CUDA = 1, 2
"""`kDLCPU` and `kDLCUDA`."""
_KINDS = {"i": 0, "u": 1, "f": 2}
"""`DLDataTypeCode` of NumPy's kinds."""
_NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    """`DLTensor`, its `DLDevice` and `DLDataType` written out."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _ManagedTensor(ctypes.Structure):
    """`DLManagedTensor`."""

    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]


_held: dict[int, tuple[_ManagedTensor, Any, Any]] = {}
"""What a consumer still uses, by the address of its structure: the structure, its shape, and the memory's owner."""


def _forget(address: int) -> None:
    """What a consumer calls when it is done."""
    _held.pop(address, None)


_delete = _Deleter(_forget)


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]


def _discard(capsule: int) -> None:
    """A capsule that nobody consumed still has its first name, and what it holds is ours to free."""
    if _is_valid(capsule, _NAME):
        _held.pop(_pointer(capsule, _NAME), None)


_destroy = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_discard)


def make_capsule(address: int, shape: tuple[int, ...], dtype: np.dtype, device: tuple[int, int], owner: Any) -> Any:
    """A capsule of contiguous memory on a device (type, number). `owner` is kept until the consumer is done."""
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    managed = _ManagedTensor()
    tensor = managed.tensor
    tensor.data, tensor.ndim, tensor.shape = address, len(shape), sizes
    tensor.device_type, tensor.device_id = device
    tensor.code, tensor.bits, tensor.lanes = _KINDS[dtype.kind], dtype.itemsize * 8, 1
    managed.deleter = _delete
    place = ctypes.addressof(managed)
    _held[place] = (managed, sizes, owner)
    return _new(place, _NAME, ctypes.cast(_destroy, ctypes.c_void_p))
