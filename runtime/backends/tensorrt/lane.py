"""What one call at a time runs in: a stream, fixed buffers, and an execution context for each set of shapes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.backends.base import is_constant
from runtime.backends.tensorrt.plan import Plan, Tensor
from runtime.backends.tensorrt.schedule import Step
from runtime.cuda import DeviceBlock, Gpu, LaunchGraph, PinnedBlock, Stream
from runtime.device_array import DeviceSource
from runtime.errors import GpuError

if TYPE_CHECKING:
    import tensorrt

MAX_SHAPES = 16
"""Sets of shapes whose contexts and recordings are kept; the one unused for longest makes room."""
MEASURED_RUNS = 3
"""Runs of a step of which the fastest counts: what disturbs a run only makes it slower."""

Input = np.ndarray | DeviceSource
"""An array in host memory, or one on the GPU."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shapes:
    """What a context is fixed to: a step, and the rows of each input."""

    step: Step
    rows: tuple[int, ...]


class BoundContext:
    """An execution context with its shapes and addresses set once.

    A recording replays the addresses and shapes of the context as it was recorded, and changing a context afterwards
    leaves the replay undefined (TensorRT's developer guide, "CUDA Graphs"), so each set of shapes has its own.
    """

    def __init__(self, lane: Lane, shapes: Shapes) -> None:
        self._plan, self._stream, self._replay = lane.plan, lane.stream, lane.cuda_graphs
        self._warm = False
        self._graph: LaunchGraph | None = None
        self._context: Any = lane.plan.create_context(lane.activations.address, lane.activations.size)
        context: tensorrt.IExecutionContext = self._context
        good = context.set_optimization_profile_async(shapes.step.profile, int(self._stream))
        for tensor, rows in zip(self._plan.inputs, shapes.rows):
            if tensor.free:
                good = good and context.set_input_shape(tensor.name, tensor.shape(rows))
        for name, block in lane.device.items():
            good = good and context.set_tensor_address(name, block.address)
        if not good:
            raise self._plan.error(f"refuses a batch of {shapes.step.batch}")

    def enqueue(self) -> None:
        """Queue a run: the first as it is, the second recorded, all later ones replayed."""
        if self._warm and self._replay and self._graph is None:
            self._graph = self._record()
        if self._graph is not None:
            self._graph.launch(self._stream)
        else:
            self._execute()
            self._warm = True

    def _execute(self) -> None:
        context: tensorrt.IExecutionContext = self._context
        if not context.execute_async_v3(int(self._stream)):
            raise self._plan.error("can't run its plan")

    def _record(self) -> LaunchGraph | None:
        """A recording of one run; None, for good, where the plan can't be recorded."""
        try:
            self._stream.begin_capture()
            try:
                self._execute()
            except BaseException:
                with suppress(GpuError):
                    LaunchGraph.discard(self._stream.end_capture())
                raise
            return LaunchGraph(self._stream.end_capture())
        except GpuError as error:
            _log.warning("%s runs without CUDA graphs, which is slower: %s", self._plan.graph, error)
            self._replay = False
            return None

    def close(self) -> None:
        """Free the recording and the context."""
        if self._graph is not None:
            self._graph.close()
        self._context = None


class Lane:
    """Buffers for the largest batch, at addresses that never change, and what runs on them. One thread at a time."""

    def __init__(self, gpu: Gpu, plan: Plan, cuda_graphs: bool) -> None:
        self.plan = plan
        self.cuda_graphs = cuda_graphs
        self._gpu = gpu
        self._contexts: OrderedDict[Shapes, BoundContext] = OrderedDict()
        self._uploaded: dict[str, np.ndarray] = {}
        tensors = (*plan.inputs, *plan.outputs)
        with gpu.current(), ExitStack() as stack:
            self.stream = Stream()
            stack.callback(self.stream.close)
            self.activations = _block(stack, plan.activation_bytes)
            self.device = {item.name: _block(stack, item.size(plan.max_batch)) for item in tensors}
            self._resources = stack.pop_all()
        self._pinned: dict[str, PinnedBlock] = {}

    @property
    def buffer_bytes(self) -> int:
        """GPU memory of inputs and outputs."""
        return sum(block.size for block in self.device.values())

    def run(
        self, step: Step, inputs: Mapping[str, Input], outputs: Sequence[Tensor], count: int
    ) -> Mapping[str, np.ndarray]:
        """Run a step and wait for it: `count` rows of the outputs, as views that the next run overwrites."""
        with self._at_work():
            self._launch(step, inputs)
            views = {}
            for item in outputs:
                pinned = self._pin(item)
                self.stream.download(pinned.address, self.device[item.name].address, item.size(count))
                views[item.name] = pinned.view(item.shape(count), item.dtype)
        return views

    def run_into(
        self, step: Step, inputs: Mapping[str, Input], targets: Sequence[tuple[Tensor, int]], count: int
    ) -> None:
        """The same, with outputs copied to addresses on the GPU and none to the host."""
        with self._at_work():
            self._launch(step, inputs)
            for item, address in targets:
                self.stream.copy(address, self.device[item.name].address, item.size(count))

    def measure(self, step: Step, inputs: Mapping[str, Input]) -> float:
        """Seconds that a step takes with inputs like these, whatever the buffers hold."""
        seconds = []
        rows = tuple(_rows(item, inputs[item.name], step.batch) for item in self.plan.inputs)
        for _ in range(2 + MEASURED_RUNS):  # the first warms up, the second records
            start = perf_counter()
            with self._at_work():
                self._bound(Shapes(step, rows)).enqueue()
            seconds.append(perf_counter() - start)
        return min(seconds[2:])

    def time_queue(self, step: Step, inputs: Mapping[str, Input], count: int) -> float:
        """Seconds of one of `count` runs queued at once, with inputs like these, on what the buffers hold.

        Starting and waiting are shared by all, so that what remains is the GPU's own time, where a run lasts longer
        than queueing one. The first two runs of a step are not for timing.
        """
        rows = tuple(_rows(item, inputs[item.name], step.batch) for item in self.plan.inputs)
        start = perf_counter()
        with self._at_work():
            bound = self._bound(Shapes(step, rows))
            for _ in range(count):
                bound.enqueue()
        return (perf_counter() - start) / count

    def close(self) -> None:
        """Free everything."""
        with self._gpu.current():
            while self._contexts:
                self._contexts.popitem()[1].close()
            self._uploaded.clear()
            self._resources.close()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """What is queued inside a `with` is done at its end, even where an error or interrupt ends it."""
        with self._gpu.current():
            try:
                yield
            except BaseException:
                self._uploaded.clear()
                with suppress(GpuError):
                    self.stream.synchronize()
                raise
            self.stream.synchronize()

    def _launch(self, step: Step, inputs: Mapping[str, Input]) -> None:
        """Queue the uploads and the run. Inputs with fewer rows than the batch are padded."""
        rows = tuple(_rows(item, inputs[item.name], step.batch) for item in self.plan.inputs)
        for item, length in zip(self.plan.inputs, rows):
            self._upload(item, inputs[item.name], length)
        self._bound(Shapes(step, rows)).enqueue()

    def _upload(self, tensor: Tensor, value: Input, rows: int) -> None:
        """Queue an input's way to the GPU, unless it is there: the noise of a 1024 px network has 11 MB."""
        if value is self._uploaded.get(tensor.name):
            return
        self._uploaded.pop(tensor.name, None)
        address = self.device[tensor.name].address
        if isinstance(value, DeviceSource):
            self.stream.copy(address, value.address, tensor.size(len(value)))
            return
        pinned = self._pin(tensor)
        view = pinned.view(tensor.shape(rows), tensor.dtype)
        if tensor.free:
            view[: len(value)] = value
            view[len(value) :] = value[-1:]
        else:
            view[...] = value
        self.stream.upload(address, pinned.address, tensor.size(rows))
        if rows == 1 and not tensor.follows_batch and is_constant(value):
            self._uploaded[tensor.name] = value

    def _pin(self, tensor: Tensor) -> PinnedBlock:
        """Host memory to copy through, made when first needed: most callers never ask for the float image."""
        if tensor.name not in self._pinned:
            block = self._pinned[tensor.name] = PinnedBlock(tensor.size(self.plan.max_batch))
            self._resources.callback(block.close)
        return self._pinned[tensor.name]

    def _bound(self, shapes: Shapes) -> BoundContext:
        if shapes not in self._contexts:
            if len(self._contexts) >= MAX_SHAPES:
                self._contexts.popitem(last=False)[1].close()
            self._contexts[shapes] = BoundContext(self, shapes)
        self._contexts.move_to_end(shapes)
        return self._contexts[shapes]


def _rows(tensor: Tensor, value: Input, batch: int) -> int:
    """Rows of an input on the GPU: the batch's, or one for all images."""
    return batch if tensor.free and (tensor.follows_batch or len(value) > 1) else 1


def _block(stack: ExitStack, size: int) -> DeviceBlock:
    block = DeviceBlock(size)
    stack.callback(block.close)
    return block
