"""A plan, deserialised: what it takes and gives, and the execution contexts that run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine_record import Profile
from runtime.engines import Engine
from runtime.errors import EngineMismatchError, GpuError
from runtime.manifest import GraphInfo, TensorInfo
from runtime.tensorrt.log import Messages, make_log
from runtime.tensorrt.refit import refit_from_graph
from runtime.tensorrt.types import name_of
from runtime.tensorrt.versions import Feature, Library

if TYPE_CHECKING:
    import tensorrt

BATCH = "batch"
"""The name of a graph's free size; that of a noise input is its own, since its rows may be one for all images."""


@dataclass(frozen=True)
class Tensor:
    """An input or output. `row` is its shape without the first dimension where that is free, else its whole shape."""

    name: str
    dtype: np.dtype
    row: tuple[int, ...]
    free: bool
    follows_batch: bool

    @classmethod
    def of(cls, info: TensorInfo) -> Tensor:
        """As the manifest describes it."""
        free = bool(info.shape) and isinstance(info.shape[0], str)
        row = tuple(int(size) for size in (info.shape[1:] if free else info.shape))
        return cls(info.name, np.dtype(info.dtype), row, free, free and info.shape[0] == BATCH)

    def shape(self, rows: int) -> tuple[int, ...]:
        """Its shape with so many rows, where that is free."""
        return (rows, *self.row) if self.free else self.row

    def size(self, rows: int) -> int:
        """Its bytes."""
        return int(np.prod(self.shape(rows))) * self.dtype.itemsize


class Plan:
    """A deserialised engine of one graph; contexts share its weights. Made with the GPU current."""

    def __init__(self, library: Library, loaded: Any, engine: Engine, graph: str, info: GraphInfo) -> None:
        self.library = library
        self.graph = graph
        self.inputs: Sequence[Tensor] = tuple(map(Tensor.of, info.inputs))
        self.outputs: Sequence[Tensor] = tuple(map(Tensor.of, info.outputs))
        self.profiles: Sequence[Profile] = engine.record.profiles
        self.weights = engine.record.plans[graph].size
        self._loaded: Any = loaded
        self._messages: Messages = make_log(library)[1]

    @property
    def max_batch(self) -> int:
        """Images of the largest run."""
        return max(profile.most for profile in self.profiles)

    @property
    def activation_bytes(self) -> int:
        """GPU memory that a context needs while it runs, at any profile."""
        engine: tensorrt.ICudaEngine = self._loaded
        if self.library.has(Feature.SIZED_MEMORY):
            return int(engine.device_memory_size_v2)
        return int(engine.device_memory_size)

    def create_context(self, activations: int, size: int) -> Any:
        """An execution context whose activations live at an address of the caller's. Raises GpuError."""
        trt = self.library.module
        engine: tensorrt.ICudaEngine = self._loaded
        context: tensorrt.IExecutionContext | None
        if self.library.has(Feature.MANAGED_MEMORY):
            context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        else:
            context = engine.create_execution_context_without_device_memory()
        if context is None:
            raise self.error("can't make an execution context")
        if self.library.has(Feature.SIZED_MEMORY):
            context.set_device_memory(activations, size)
        else:
            context.device_memory = activations
        return context

    def error(self, what: str) -> GpuError:
        """An error with TensorRT's own words."""
        return GpuError(f"{self.library.name} {what} of {self.graph}: {self._messages.last_error()}")

    def close(self) -> None:
        """Free the engine. Its contexts must be gone."""
        self._loaded = None


def load_plan(library: Library, engine: Engine, graph: str, info: GraphInfo, source: Path) -> Plan:
    """Deserialise a plan whose sha256 is its record's; a stripped one gets its weights from the graph `source`.

    Raises IntegrityError for a changed file, EngineMismatchError where TensorRT refuses the plan, or where its inputs
    and outputs are not the graph's.
    """
    loaded: tensorrt.ICudaEngine = deserialize(library, engine, graph, engine.read_plan(graph))
    _check_tensors(library, loaded, info, engine, graph)
    if engine.record.flags.strip_weights:
        refit_from_graph(library, loaded, source)
    return Plan(library, loaded, engine, graph, info)


def deserialize(library: Library, engine: Engine, graph: str, data: bytes) -> Any:
    """TensorRT's engine of a plan that `engine.read_plan` proved. Raises EngineMismatchError where it is refused."""
    trt = library.module
    log, messages = make_log(library)
    messages.clear()
    loader: tensorrt.Runtime = trt.Runtime(log)
    # Such plans hold code for the host. Running it is what --version-compatible asked for when the engine was built.
    loader.engine_host_code_allowed = engine.record.flags.version_compatible
    loaded: tensorrt.ICudaEngine | None = loader.deserialize_cuda_engine(data)
    if loaded is None:
        raise EngineMismatchError(
            f"{engine.folder}: {library.name} refuses its plan of {graph} ({messages.last_error()}); "
            f"build it again: {engine.rebuild_command}"
        )
    return loaded


def _check_tensors(library: Library, loaded: tensorrt.ICudaEngine, info: GraphInfo, engine: Engine, graph: str) -> None:
    """The plan's inputs and outputs must be the manifest's, by name and type: buffers are made by the manifest."""
    wanted = {item.name: item.dtype for item in (*info.inputs, *info.outputs)}
    found = {}
    for index in range(loaded.num_io_tensors):
        name: str = loaded.get_tensor_name(index)
        found[name] = name_of(library.module, loaded.get_tensor_dtype(name)) or "another type"
    if found != wanted:
        differing = sorted(set(found.items()) ^ set(wanted.items()))[0]
        raise EngineMismatchError(
            f"{engine.folder}: its plan of {graph} differs from the graph in {differing[0]} ({differing[1]}); "
            f"build it again: {engine.rebuild_command}"
        )
