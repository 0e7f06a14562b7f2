"""TensorRT, made up: a plan is an ONNX graph, run by ONNX Runtime at the addresses that a context is given.

As strict as TensorRT where that matters: shapes outside a profile are refused, a context runs once everything is set,
and a recording replayed after its context was changed writes nothing. The names are looked up in the real bindings by
`tests/engines/test_tensorrt_names.py`.
"""

from __future__ import annotations

import ctypes
import json
from enum import Enum, IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

from runtime.engine_record import Profile, version_numbers

MAGIC = b"made-up plan "
ACTIVATIONS = 1000
"""Bytes that a context needs."""
KEEPS_REFIT = (10, 14)
"""From this version on, a refitted plan may be refitted again."""
NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
"""Types of inputs, by ONNX Runtime's names."""
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DataType(Enum):
    FLOAT = "tensor(float)"
    HALF = "tensor(float16)"
    UINT8 = "tensor(uint8)"
    INT32 = "tensor(int32)"
    BOOL = "tensor(bool)"


class Strategy(IntEnum):
    STATIC = 0
    USER_MANAGED = 2


class ILogger:
    """Base of what takes messages."""

    INTERNAL_ERROR, ERROR, WARNING = range(3)


def make_plan(graph: bytes, profiles: tuple[Profile, ...], stripped: bool = False, refittable: bool = False) -> bytes:
    """A plan of a graph; a stripped one holds no weights."""
    ranges = [[item.least, item.typical, item.most] for item in profiles]
    header = {"profiles": ranges, "stripped": stripped, "refittable": stripped or refittable}
    if stripped:
        model = onnx.load_model_from_string(graph)
        for weight in model.graph.initializer:
            values = onnx.numpy_helper.to_array(weight)
            zeros = np.zeros_like(values) if values.dtype == np.float32 else values
            weight.CopyFrom(onnx.numpy_helper.from_array(zeros, weight.name))
        graph = model.SerializeToString()
    return MAGIC + json.dumps(header).encode() + b"\n" + graph


class Engine:
    """`ICudaEngine`."""

    def __init__(self, log: Any, header: dict[str, Any], graph: bytes, queue: Any) -> None:
        self.log, self.header, self.queue = log, header, queue
        self.missing = ["conv.weight"] if header["stripped"] else []
        self.put(graph)

    def put(self, graph: bytes) -> None:
        """Give it the weights of a graph."""
        self.graph = graph
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.inputs = {item.name: item for item in self.session.get_inputs()}
        self.outputs = {item.name: item for item in self.session.get_outputs()}

    @property
    def names(self) -> list[str]:
        return [*self.inputs, *self.outputs]

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType((self.inputs | self.outputs)[name].type)


class NewEngine(Engine):
    """Of 10.1 and later."""

    device_memory_size_v2 = ACTIVATIONS

    def create_execution_context(self, strategy: Strategy) -> Context:
        assert strategy is Strategy.USER_MANAGED
        return NewContext(self)

    def create_serialization_config(self) -> SerializationConfig:
        return SerializationConfig()

    def serialize_with_config(self, config: SerializationConfig) -> bytes:
        assert "EXCLUDE_WEIGHTS" not in config.flags
        header = {**self.header, "refittable": "INCLUDE_REFIT" in config.flags}
        return MAGIC + json.dumps(header).encode() + b"\n" + self.graph


class SerializationConfig:
    """`ISerializationConfig`, with weights left out until told otherwise."""

    def __init__(self) -> None:
        self.flags = {"EXCLUDE_WEIGHTS"}

    def set_flag(self, flag: str) -> bool:
        self.flags.add(flag)
        return True

    def clear_flag(self, flag: str) -> bool:
        self.flags.discard(flag)
        return True


class OldEngine(Engine):
    """Of 8.6."""

    device_memory_size = ACTIVATIONS

    def create_execution_context_without_device_memory(self) -> Context:
        return Context(self)


class Context:
    """`IExecutionContext`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.device_memory = 0
        self.profile: int | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self._calls: list[Any] = []

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert stream
        self.profile = index
        return index < len(self.engine.header["profiles"])

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self.profile is not None
        least, _, most = self.engine.header["profiles"][self.profile]
        free = self.engine.inputs[name].shape[0]
        low = least if free == "batch" else 1
        if not low <= shape[0] <= most:
            self.engine.log.log(ILogger.ERROR, f"{name}: {shape[0]} is outside {low}..{most}")
            return False
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address
        self.addresses[name] = address
        return name in self.engine.names

    def execute_async_v3(self, stream: int) -> bool:
        """Queue a run with the shapes and addresses of now."""
        state = self._state()
        if not self.device_memory or set(self.addresses) != set(self.engine.names):
            self.engine.log.log(ILogger.ERROR, "memory or an address is missing")
            return False
        call = _CALL(lambda _: self._compute(state))
        self._calls.append(call)
        self.engine.queue(stream, call)
        return True

    def _state(self) -> Any:
        return (self.profile, dict(self.shapes), dict(self.addresses), self.device_memory)

    def _compute(self, state: Any) -> None:
        if state != self._state():
            return
        ctypes.memset(self.device_memory, 0xFF, ACTIVATIONS)
        feeds = {}
        for name, item in self.engine.inputs.items():
            shape = self.shapes.get(name, tuple(item.shape))
            feeds[name] = _view(self.addresses[name], shape, NUMPY[item.type]).copy()
        for name, result in zip(self.engine.outputs, self.engine.session.run(None, feeds)):
            _view(self.addresses[name], result.shape, result.dtype)[...] = result


class NewContext(Context):
    """Of 10.1 and later."""

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= ACTIVATIONS
        self.device_memory = address


class Runtime:
    """`IRuntime`."""

    def __init__(self, log: Any, engine: type[Engine], queue: Any) -> None:
        self._log, self._engine, self._queue = log, engine, queue
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if not plan.startswith(MAGIC):
            self._log.log(ILogger.ERROR, "the plan's magic tag does not match")
            return None
        header, graph = plan.removeprefix(MAGIC).split(b"\n", 1)
        return self._engine(self._log, json.loads(header), graph, self._queue)


class Refitter:
    """`IRefitter`."""

    def __init__(self, engine: Engine, log: Any) -> None:
        self.engine, self.log = engine, log
        self.new: bytes | None = None

    def get_missing_weights(self) -> list[str]:
        return [] if self.new is not None else self.engine.missing

    def refit_cuda_engine(self) -> bool:
        if self.new is None or not self.engine.header["refittable"]:
            self.log.log(ILogger.ERROR, "the engine was built without refitting")
            return False
        self.engine.put(self.new)
        return True


class OnnxParserRefitter:
    """Takes the weights of a graph whose nodes are the engine's."""

    def __init__(self, refitter: Refitter, log: Any) -> None:
        self._refitter, self._log = refitter, log

    def refit_from_bytes(self, graph: bytes) -> bool:
        if _outline(graph) != _outline(self._refitter.engine.graph):
            self._log.log(ILogger.ERROR, "a weight's shape is not the engine's")
            return False
        self._refitter.new = graph
        return True


class Config:
    """`IBuilderConfig`. Flags and limits are taken and change nothing."""

    def __init__(self) -> None:
        self.profiles: list[OptimizationProfile] = []
        self.flags: set[str] = set()

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class OptimizationProfile:
    """`IOptimizationProfile`: the batch of an input that has the most."""

    def __init__(self) -> None:
        self.batches = Profile(1, 1, 1)

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        least, typical, most = (shape[0] for shape in shapes)
        old = self.batches
        self.batches = Profile(max(old.least, least), max(old.typical, typical), max(old.most, most))


class OnnxParser:
    """Keeps the graph, which ONNX Runtime must be able to read."""

    num_errors = 0

    def __init__(self, network: SimpleNamespace, log: Any) -> None:
        self._network, self._log = network, log

    def parse(self, graph: bytes) -> bool:
        onnx.checker.check_model(onnx.load_model_from_string(graph), full_check=True)
        self._network.graph = graph
        return True


class Builder:
    """`Builder`. A plan holds the graph; one with an operator of `REFUSED` is not built."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def create_network(self, flags: int) -> SimpleNamespace:
        return SimpleNamespace(graph=b"")

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> OptimizationProfile:
        return OptimizationProfile()

    def build_serialized_network(self, network: SimpleNamespace, config: Config) -> bytes | None:
        operators = {node.op_type for node in onnx.load_model_from_string(network.graph).graph.node}
        if operators & REFUSED:
            self._log.log(ILogger.ERROR, f"no implementation of {sorted(operators & REFUSED)[0]}")
            return None
        profiles = tuple(profile.batches for profile in config.profiles)
        return make_plan(network.graph, profiles, "STRIP_PLAN" in config.flags, "REFIT" in config.flags)


REFUSED: set[str] = set()
"""Operators that the builder has no implementation of, for a test to fill and empty again."""


def make_module(version: str, launch: Any) -> Any:
    """The module `tensorrt`, of 10.3 or, where the version says so, with what 8.6 has and lacks."""

    def queue(stream: int, call: Any) -> None:
        assert launch(ctypes.c_void_p(stream), call, None) == 0, "no GPU is current"

    old = version.startswith("8.")
    module: Any = ModuleType("tensorrt")
    module.__version__ = version
    module.ILogger, module.DataType, module.Refitter = ILogger, DataType, Refitter
    module.Runtime = lambda log: Runtime(log, OldEngine if old else NewEngine, queue)
    module.Builder, module.OnnxParser = Builder, OnnxParser
    builder_flags = ["TF32", "REFIT", "FP16", "OBEY_PRECISION_CONSTRAINTS"] + ["STRIP_PLAN", "REFIT_IDENTICAL"] * (
        not old
    )
    module.BuilderFlag = SimpleNamespace(**{name: name for name in builder_flags})
    module.NetworkDefinitionCreationFlag = SimpleNamespace(EXPLICIT_BATCH=0, **({} if old else {"STRONGLY_TYPED": 1}))
    module.ICudaEngine, module.IExecutionContext = (OldEngine, Context) if old else (NewEngine, NewContext)
    if not old:
        module.ExecutionContextAllocationStrategy = Strategy
        module.OnnxParserRefitter = OnnxParserRefitter
        flags = ["EXCLUDE_WEIGHTS"] + ["INCLUDE_REFIT"] * (version_numbers(version) >= KEEPS_REFIT)
        module.ISerializationConfig = SerializationConfig
        module.SerializationFlag = SimpleNamespace(**{name: name for name in flags})
    return module


def _outline(graph: bytes) -> Any:
    model = onnx.load_model_from_string(graph)
    nodes = [(node.op_type, list(node.input), list(node.output)) for node in model.graph.node]
    return nodes, [(item.name, list(item.dims)) for item in model.graph.initializer]


def _view(address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    raw: np.ndarray = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
    array: np.ndarray = raw.view(kind).reshape(shape)
    return array
