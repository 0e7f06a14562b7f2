"""The models of a repository, and the `config.pbtxt` of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from exporter.triton.pbtxt import Field, Word, field, render
from runtime.manifest import TensorInfo

VERSION = 1
"""The only version of each model: a folder of this name. A changed bundle replaces it."""
QUEUE_DELAY = 0
"""Microseconds that a request waits for others: what waits already is batched, and nobody waits for more."""
TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}
"""Triton's names of the types that graphs take and give, whatever they compute in."""

CUDA_PARAMETERS = {
    # The default measures every algorithm anew for each shape, so that images differ in the last bit between starts.
    "cudnn_conv_algo_search": "1",
    # The default doubles the arena each time that it grows.
    "arena_extend_strategy": "1",
    # Planning one block for all activations holds every buffer at once.
    "enable_mem_pattern": "0",
}
"""What Triton's ONNX Runtime backend is told: the same as `runtime.backends` tells its own sessions."""


class Platform(str, Enum):
    """What executes synthesis."""

    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"

    @property
    def triton_name(self) -> str:
        """The `platform` of a configuration."""
        return "onnxruntime_onnx" if self is Platform.ONNXRUNTIME else "tensorrt_plan"

    @property
    def file(self) -> str:
        """The file that a version's folder holds."""
        return "model.onnx" if self is Platform.ONNXRUNTIME else "model.plan"


@dataclass(frozen=True)
class Tensor:
    """An input or output: its NumPy type, and the sizes of one image's part, without the batch."""

    name: str
    dtype: str
    dims: tuple[int, ...]

    @classmethod
    def of(cls, info: TensorInfo) -> Tensor:
        """That of a bundle's graph, whose first dimension is the batch."""
        return cls(info.name, info.dtype, tuple(info.shape[1:]))

    def described(self, kind: str) -> Field:
        """The field `input` or `output`."""
        return field(kind, Field("name", self.name), *self._form())

    def warming(self) -> Field:
        """Zeros for it."""
        return field("inputs", Field("key", self.name), field("value", *self._form(), Field("zero_data", True)))

    def _form(self) -> tuple[Field, Field]:
        return Field("data_type", Word(TYPES[self.dtype])), Field("dims", list(self.dims))


@dataclass(frozen=True)
class Model:
    """A graph or plan that a backend executes. `profile` is the number of the plan's; `preferred` are batch sizes."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int
    preferred: tuple[int, ...]
    platform: Platform = Platform.ONNXRUNTIME
    profile: int | None = None

    def config(self) -> str:
        """The text of `config.pbtxt`."""
        return render(
            (
                Field("name", self.name),
                Field("platform", self.platform.triton_name),
                Field("backend", self.platform.value),
                Field("default_model_filename", self.platform.file),
                *_interface(self.max_batch, self.inputs, self.outputs),
                field("instance_group", *self._instances()),
                field(
                    "dynamic_batching",
                    Field("preferred_batch_size", list(self.preferred)),
                    Field("max_queue_delay_microseconds", QUEUE_DELAY),
                ),
                *self._warmups(),
                *self._parameters(),
            )
        )

    def _instances(self) -> Iterator[Field]:
        yield Field("count", 1)
        yield Field("kind", Word("KIND_AUTO"))
        if self.profile is not None:
            yield Field("profile", str(self.profile))

    def _warmups(self) -> Iterator[Field]:
        """The smallest and the largest batch: whoever comes first need not wait for what a first run prepares."""
        for size in sorted({1, self.max_batch}):
            inputs = (item.warming() for item in self.inputs)
            yield field("model_warmup", Field("name", f"batch_{size}"), Field("batch_size", size), *inputs)

    def _parameters(self) -> Iterator[Field]:
        if self.platform is Platform.ONNXRUNTIME:
            for key, value in CUDA_PARAMETERS.items():
                yield field("parameters", Field("key", key), field("value", Field("string_value", value)))


@dataclass(frozen=True)
class Step:
    """A model of an ensemble: what each of its inputs and outputs is called there, by its own name."""

    model: Model
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def described(self) -> Field:
        """The field `step`."""
        maps = [("input_map", self.inputs), ("output_map", self.outputs)]
        return field(
            "step",
            Field("model_name", self.model.name),
            Field("model_version", VERSION),
            *(
                field(kind, Field("key", own), Field("value", outer))
                for kind, names in maps
                for own, outer in names.items()
            ),
        )


@dataclass(frozen=True)
class Ensemble:
    """Models one after the other, as one. It executes nothing itself, so it has no instances, batcher or warm-up."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int
    steps: tuple[Step, ...]

    def config(self) -> str:
        """The text of `config.pbtxt`."""
        return render(
            (
                Field("name", self.name),
                Field("platform", "ensemble"),
                *_interface(self.max_batch, self.inputs, self.outputs),
                field("ensemble_scheduling", *(step.described() for step in self.steps)),
            )
        )


def _interface(max_batch: int, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Iterator[Field]:
    yield field("version_policy", field("specific", Field("versions", [VERSION])))
    yield Field("max_batch_size", max_batch)
    yield from (item.described("input") for item in inputs)
    yield from (item.described("output") for item in outputs)
