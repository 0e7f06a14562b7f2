"""The process that builds: parses ONNX files and builds their plans with TensorRT, prints one JSON document.

python -m tests.engines.tensorrt_cpu.builder LEAST TYPICAL MOST GRAPH.onnx ...

Some calls must stay out of here. TensorRT-RTX's classes lack a few of the virtual methods that the bindings were
compiled for, so that later ones are reached under another's name: `ITensor.location` and all that follows it
(`is_shape_tensor`, ...), `INetworkDefinition.name`, `.flags` and `.get_flag` answer nonsense or crash.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorrt_bindings as trt

from runtime.engine_record import Profile
from runtime.manifest import TensorInfo
from runtime.records import to_plain
from tests.engines.tensorrt_cpu.plans import PlanReport

STRONGLY_TYPED = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
"""Every tensor has the type that the graph gives it; TensorRT chooses none."""
FREE = -1
"""How TensorRT writes a size that is not fixed."""


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps what TensorRT says. It takes one logger a process: `clear` between graphs."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.clear()

    def clear(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        if severity <= trt.ILogger.ERROR:
            self.errors.append(message)
        elif severity == trt.ILogger.WARNING:
            self.warnings.append(message)


def main(arguments: Sequence[str]) -> None:
    batches = Profile(*map(int, arguments[:3]))
    log = Log()
    builder = trt.Builder(log)
    reports = [report(builder, log, Path(graph), batches) for graph in arguments[3:]]
    sys.stdout.write(json.dumps(to_plain(reports)))


def report(builder: trt.Builder, log: Log, graph: Path, batches: Profile) -> PlanReport:
    """Parse one graph and, where that succeeds, build its plan."""
    log.clear()
    network = builder.create_network(STRONGLY_TYPED)
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse_from_file(str(graph))
    plan = builder.build_serialized_network(network, _config(builder, network, batches)) if parsed else None
    return PlanReport(
        graph=graph.stem,
        parsed=parsed,
        errors=(*_parser_errors(parser), *log.errors),
        warnings=tuple(log.warnings),
        plan_bytes=0 if plan is None else plan.nbytes,
        inputs=tuple(_describe(network.get_input(index)) for index in range(network.num_inputs)),
        outputs=tuple(_describe(network.get_output(index)) for index in range(network.num_outputs)),
    )


def _config(builder: trt.Builder, network: trt.INetworkDefinition, batches: Profile) -> trt.IBuilderConfig:
    """Float32 without TF32, as parity is judged, and one profile for all free sizes."""
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if FREE in tensor.shape:
            sizes = (batches.least, batches.typical, batches.most)
            profile.set_shape(tensor.name, *(_filled(tensor.shape, size) for size in sizes))
    config.add_optimization_profile(profile)
    return config


def _filled(shape: trt.Dims, size: int) -> list[int]:
    return [size if dim == FREE else dim for dim in shape]


def _parser_errors(parser: trt.OnnxParser) -> Iterator[str]:
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        yield f"{error.code().name}: node {error.node_name()!r}, operator {error.node_operator()}: {error.desc()}"


def _describe(tensor: trt.ITensor) -> TensorInfo:
    return TensorInfo(tensor.name, np.dtype(trt.nptype(tensor.dtype)).name, tuple(tensor.shape))


if __name__ == "__main__":
    main(sys.argv[1:])
