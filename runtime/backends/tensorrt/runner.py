"""A graph on TensorRT: batches cut to what its profiles take, on as many lanes as calls may run at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from runtime.backends.base import BackendName, MemoryUse
from runtime.backends.tensorrt.lane import Input, Lane
from runtime.backends.tensorrt.plan import Plan, Tensor
from runtime.backends.tensorrt.schedule import Piece, Schedule
from runtime.cuda import Gpu
from runtime.device_array import BlockPool, DeviceArray, DeviceSource
from runtime.errors import InputError


class TensorRtGraph:
    """One graph of an engine. May be called from several threads; those beyond the contexts wait for a free one."""

    device = "cuda"

    def __init__(self, gpu: Gpu, plan: Plan, backend: BackendName, contexts: int, cuda_graphs: bool) -> None:
        self.backend = backend
        self.max_batch = plan.max_batch
        self._gpu = gpu
        self._plan = plan
        self._pool = BlockPool(gpu)
        self._schedule = Schedule(plan.profiles)
        self._choosing = threading.Lock()
        self._lanes: list[Lane] = []
        self._free: queue.SimpleQueue[Lane | None] = queue.SimpleQueue()
        self._contexts = contexts
        try:
            for _ in range(contexts):
                self._lanes.append(Lane(gpu, plan, cuda_graphs))
                self._free.put(self._lanes[-1])
        except BaseException:
            self._contexts = len(self._lanes)
            self.close()
            raise

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order. Raises GpuError where it fails.

        Inputs may have fewer or more rows than the profiles take: they are padded, or run in parts.
        """
        wanted = [self._output(name) for name in outputs]
        count = self._count(inputs)
        results = [np.empty(item.shape(count), item.dtype) for item in wanted]
        with self._lane() as lane:
            for piece in self._pieces(lane, inputs, count):
                views = lane.run(piece.step, self._rows(inputs, piece), wanted, piece.count)
                for item, result in zip(wanted, results):
                    result[piece.start : piece.start + piece.count] = views[item.name]
        return results

    def run_on_device(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[DeviceArray]:
        """The same with outputs that stay on the GPU."""
        wanted, count = [self._output(name) for name in outputs], self._count(inputs)
        with self._gpu.current():
            for value in inputs.values():
                if isinstance(value, DeviceSource):
                    value.wait()
        leases = [self._pool.borrow(item.size(count)) for item in wanted]
        with self._lane() as lane:
            for piece in self._pieces(lane, inputs, count):
                targets = [
                    (item, lease.block.address + item.size(1) * piece.start) for item, lease in zip(wanted, leases)
                ]
                lane.run_into(piece.step, self._rows(inputs, piece), targets, piece.count)
        return [
            DeviceArray(lease, item.shape(count), item.dtype, self._gpu.index) for item, lease in zip(wanted, leases)
        ]

    def time_queue(self, inputs: Mapping[str, Any], count: int) -> float:
        """Seconds of one of `count` runs queued at once, on what the last `run` left in the buffers.

        `run` must have had such inputs twice before: the first warms up, the second records.
        """
        with self._lane() as lane:
            return sum(
                lane.time_queue(piece.step, inputs, count) for piece in self._pieces(lane, inputs, self._count(inputs))
            )

    def memory(self) -> MemoryUse:
        """What it holds on the GPU; the weights are taken for as large as their plan."""
        activations = sum(lane.activations.size for lane in self._lanes)
        buffers = sum(lane.buffer_bytes for lane in self._lanes)
        return MemoryUse(self._plan.weights, activations, buffers)

    def close(self) -> None:
        """Wait for the calls that run, and free everything. A second time does nothing."""
        if not self._lanes and self._contexts == 0:
            return
        for _ in range(self._contexts):
            self._free.get()
        self._free.put(None)
        for lane in self._lanes:
            lane.close()
        self._lanes, self._contexts = [], 0
        self._pool.close()
        with self._gpu.current():
            self._plan.close()

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._free.get()
        if lane is None:
            self._free.put(None)
            raise InputError(f"the {self._plan.graph} graph was closed; load the bundle again")
        try:
            yield lane
        finally:
            self._free.put(lane)

    def _pieces(self, lane: Lane, inputs: Mapping[str, Any], count: int) -> Sequence[Piece]:
        with self._choosing:
            return self._schedule.choose(count, lambda step: lane.measure(step, inputs))

    def _rows(self, inputs: Mapping[str, Any], piece: Piece) -> dict[str, Input]:
        """The inputs of a piece: its rows, of those that have more than one for all images."""
        part = slice(piece.start, piece.start + piece.count)
        given = {item.name: (item, inputs[item.name]) for item in self._plan.inputs}
        return {
            name: value[part] if item.free and (item.follows_batch or len(value) > 1) else value
            for name, (item, value) in given.items()
        }

    def _count(self, inputs: Mapping[str, Any]) -> int:
        return next(len(inputs[item.name]) for item in self._plan.inputs if item.follows_batch)

    def _output(self, name: str) -> Tensor:
        return next(item for item in self._plan.outputs if item.name == name)
