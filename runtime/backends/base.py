"""What every backend offers: a graph opened once, run many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from runtime.errors import InputError

if TYPE_CHECKING:
    from runtime.device_array import DeviceArray

MAX_CONTEXTS = 16
"""Each holds activations of its own; more than a few no longer add throughput on one GPU."""


class BackendName(str, Enum):
    """What may execute a graph. `auto` takes the fastest that loads."""

    AUTO = "auto"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"

    @classmethod
    def of(cls, name: str | BackendName) -> BackendName:
        """The backend of a name. Raises InputError where it is none's."""
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(item.value for item in cls)
            raise InputError(f"backend {name!r} is unknown, expected one of {known}") from None


@dataclass(frozen=True)
class RunOptions:
    """How graphs are run.

    `threads` bounds the CPU threads (None: all cores); `gpu` is the number of the GPU; `contexts` is how many calls
    TensorRT runs at once; `cuda_graphs` lets it replay recorded launches.
    """

    threads: int | None = None
    gpu: int = 0
    contexts: int = 1
    cuda_graphs: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads is {self.threads}, expected 1 or more")
        if self.gpu < 0:
            raise InputError(f"gpu is {self.gpu}, expected 0 or more")
        if not 1 <= self.contexts <= MAX_CONTEXTS:
            raise InputError(f"contexts is {self.contexts}, expected 1 to {MAX_CONTEXTS}")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of GPU memory that a graph holds: its weights, activations of all contexts, inputs and outputs."""

    weights: int
    activations: int
    buffers: int


class GraphRunner(Protocol):
    """One graph, loaded."""

    @property
    def backend(self) -> BackendName:
        """What executes it."""
        ...

    @property
    def device(self) -> str:
        """Where: "cpu" or "cuda"."""
        ...

    @property
    def max_batch(self) -> int | None:
        """Images of one run; more are run in parts."""
        ...

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        ...

    def memory(self) -> MemoryUse | None:
        """What it holds on a GPU; None where the backend can't say."""
        ...

    def close(self) -> None:
        """Free all that it holds. It can't run afterwards."""
        ...


@runtime_checkable
class DeviceRunner(Protocol):
    """A graph whose results may stay on the GPU."""

    def run_on_device(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[DeviceArray]:
        """Like `run`, with the outputs left on the GPU."""
        ...


def is_constant(array: np.ndarray) -> bool:
    """Whether nobody can write into an array: neither through it, nor through what it is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)


def frozen(array: np.ndarray) -> np.ndarray:
    """An array that nobody can write into, which may stay on a GPU between calls: itself if nobody can, else a copy."""
    if not is_constant(array):
        array = array.copy()
        array.setflags(write=False)
    return array
