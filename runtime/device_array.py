"""Arrays that stay on the GPU: handed to and taken from PyTorch, CuPy, Numba and others without a copy to the host.

Handed over by DLPack (`__dlpack__`) and the CUDA array interface (`__cuda_array_interface__`, version 3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runtime.cuda import DeviceBlock, Gpu, call, load_driver, synchronize
from runtime.dlpack import CUDA, make_capsule
from runtime.errors import InputError

INTERFACE = "__cuda_array_interface__"


MAX_IDLE = 8
"""Blocks that are kept for the next array; of a caller's ever new batch sizes, the oldest are freed."""


class BlockPool:
    """GPU memory that arrays borrow: allocating for each image would make the GPU wait.

    Leases end whenever Python drops the last holder, in the middle of any of these methods too, so none holds a lock
    while it changes what is idle, and nothing is freed there but by `borrow` and `close`.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._idle: deque[DeviceBlock] = deque()
        self._shared: set[int] = set()
        self._closed = False

    def borrow(self, size: int) -> Lease:
        """Memory of `size` bytes, given back when nobody holds the lease any more."""
        with self._gpu.current():
            found = self._take(size)
            while len(self._idle) > MAX_IDLE:
                self._free(self._pop())
            if found is None:
                found = DeviceBlock(size)
            elif found.address in self._shared:
                # Who took it without a copy has dropped it, which says nothing of the work it has queued on it.
                self._shared.discard(found.address)
                synchronize()
        return Lease(self, found)

    def share(self, block: DeviceBlock) -> None:
        """Remember that others may queue work on a block."""
        self._shared.add(block.address)

    def give_back(self, block: DeviceBlock) -> None:
        """Keep a block for the next array, or free it where the pool was closed."""
        self._idle.append(block)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Free what nobody holds; the rest follows when it is given back."""
        self._closed = True
        with self._gpu.current():
            while self._idle:
                self._free(self._pop())

    def _take(self, size: int) -> DeviceBlock | None:
        for _ in range(len(self._idle)):
            block = self._pop()
            if block is None or block.size == size:
                return block
            self._idle.append(block)
        return None

    def _pop(self) -> DeviceBlock | None:
        """The block that has been idle for longest; None where another thread took the last."""
        with suppress(IndexError):
            return self._idle.popleft()
        return None

    def _free(self, block: DeviceBlock | None) -> None:
        if block is not None:
            self._shared.discard(block.address)
            block.close()


class Lease:
    """A block on loan."""

    def __init__(self, pool: BlockPool, block: DeviceBlock) -> None:
        self._pool = pool
        self.block = block

    def share(self) -> None:
        """Say that others may queue work on the block."""
        self._pool.share(self.block)

    def __del__(self) -> None:
        self._pool.give_back(self.block)


class DeviceArray:
    """Images on the GPU, complete: whoever takes them need not wait for a stream.

    `shape` and `dtype` are NumPy's. The memory lives as long as this array, or what was made of it without a copy.
    """

    def __init__(self, lease: Lease, shape: tuple[int, ...], dtype: np.dtype, gpu: int) -> None:
        self._lease = lease
        self.shape = shape
        self.dtype = dtype
        self.gpu = gpu

    @property
    def address(self) -> int:
        """Where the first value is, in GPU memory."""
        return self._lease.block.address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Contiguous, writeable, of no stream. Keep this array for as long as the memory is used."""
        self._lease.share()
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def as_source(self) -> DeviceSource:
        """For another graph of ours, which has read it when it returns: the memory can be reused at once."""
        return DeviceSource(self.address, self.shape, self.dtype, None, self)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CUDA, self.gpu)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """A capsule, for `from_dlpack`. Raises BufferError for another device or a copy, which are not offered."""
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("expected no copy and the same device: the array is shared, where it is")
        self._lease.share()
        return make_capsule(self.address, self.shape, self.dtype, self.__dlpack_device__(), self._lease)


@dataclass(frozen=True)
class DeviceSource:
    """Somebody's array on the GPU, read in place, and contiguous. `owner` keeps it alive.

    `stream` is what it is made on, as its interface says it: None where it is complete, `UNKNOWN` where it can't say.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype
    stream: int | None
    owner: Any

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> DeviceSource:
        """Some of its rows."""
        start, stop, _ = part.indices(len(self))
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return replace(self, address=self.address + start * row, shape=(stop - start, *self.shape[1:]))

    def wait(self) -> None:
        """Wait until it is complete, with its GPU current."""
        if self.stream == UNKNOWN:
            synchronize()
        elif self.stream is not None:
            driver = load_driver()
            call(driver.cuStreamSynchronize, driver.CUstream(self.stream))


UNKNOWN = -1
"""An interface before version 3, as PyTorch's, does not name a stream."""


def read_source(value: Any, name: str, shape: Sequence[int | None]) -> DeviceSource:
    """What has a CUDA array interface, as a source of float32 (None in `shape`: any length).

    Raises InputError for another shape or type, or an array that is not contiguous.
    """
    described = getattr(value, INTERFACE)
    found, dtype = tuple(described["shape"]), np.dtype(described["typestr"])
    wanted = "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"
    fits = len(found) == len(shape) and all(size in (None, length) for size, length in zip(shape, found))
    if not fits or dtype != np.float32 or not all(found):
        raise InputError(f"{name} on the GPU is {dtype} {list(found)}, expected float32 {wanted}")
    strides = described.get("strides")
    steps = tuple(int(np.prod(found[axis + 1 :])) * dtype.itemsize for axis in range(len(found)))
    if strides is not None and tuple(strides) != steps:
        raise InputError(f"{name} on the GPU has strides {list(strides)}, expected a contiguous array")
    return DeviceSource(int(described["data"][0]), found, dtype, described.get("stream", UNKNOWN), value)
