"""What the protocol's models take and give: three a bundle, as `deploy triton` names and describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runtime.backends import BackendName
from runtime.manifest import TensorInfo
from runtime.server.inference.tensors import FLOATS, INTEGERS
from runtime.server.limits import Limits
from runtime.server.models import Model
from runtime.spec import latent_names

VERSION = "1"
"""The only version of each model: a replaced bundle replaces it."""
SEED, PSI, LABEL = "seed", "psi", "c"
PIXELS, IMAGE = "pixels", "image"

_DATATYPES = {"float32": "FP32", "uint8": "UINT8"}
"""Of the types that graphs take and give."""
_PLATFORMS = {
    BackendName.ONNXRUNTIME: "onnxruntime_onnx",
    BackendName.TENSORRT: "tensorrt_plan",
    BackendName.TENSORRT_RTX: "tensorrt_rtx_plan",
    BackendName.OPENVINO: "openvino",
}


class Part(str, Enum):
    """What of a generator a model is, by the ending of its name: all of it, or one of its networks."""

    WHOLE = ""
    MAPPING = "_mapping"
    SYNTHESIS = "_synthesis"


@dataclass(frozen=True)
class Tensor:
    """An input or output. `dims` are those of one image; before them stands the number of images."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False

    @property
    def shape(self) -> list[int]:
        """That of metadata: -1 is any number of images."""
        return [-1, *self.dims]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The datatypes that an input is read from."""
        return INTEGERS if self.datatype in INTEGERS else FLOATS

    def metadata(self) -> dict[str, Any]:
        """As the protocol's metadata describes it."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}

    def config(self) -> dict[str, Any]:
        """As Triton's model configuration does."""
        return {"name": self.name, "data_type": f"TYPE_{self.datatype}", "dims": list(self.dims)}


@dataclass(frozen=True)
class Interface:
    """One model of the protocol. `inputs` are in the graphs' order, those that may be left out last."""

    name: str
    part: Part
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, model: Model, part: Part) -> Interface:
        """That of a part of a model."""
        bundle, generator = model.generator.bundle, model.generator
        synthesis = bundle.graph("synthesis", generator.precision)
        surroundings = [_tensor(item, optional=True) for item in synthesis.inputs if item.name != "styles"]
        outputs = [_tensor(item) for item in synthesis.outputs]
        mapping = bundle.graph("mapping")
        if part is Part.MAPPING:
            inputs = [_tensor(item) for item in mapping.inputs]
            outputs = [_tensor(item) for item in mapping.outputs]
        elif part is Part.SYNTHESIS:
            inputs = [_tensor(item) for item in synthesis.inputs if item.name == "styles"] + surroundings
        else:
            inputs = [*_latents(model, mapping.inputs), *_choices(model), *surroundings]
        return cls(model.source.name + part.value, part, tuple(inputs), tuple(outputs))

    def metadata(self, model: Model) -> dict[str, Any]:
        """`GET v2/models/NAME`."""
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": _PLATFORMS[model.generator.backend],
            "inputs": [item.metadata() for item in self.inputs],
            "outputs": [item.metadata() for item in self.outputs],
        }

    def config(self, model: Model, limits: Limits, max_wait: float) -> dict[str, Any]:
        """`GET v2/models/NAME/config`, in the form of Triton's `ModelConfig`."""
        on_gpu = model.generator.device == "cuda"
        instance = {
            "name": f"{self.name}_0",
            "kind": "KIND_GPU" if on_gpu else "KIND_CPU",
            "count": 1,
            "gpus": [model.source.gpu] if on_gpu else [],
        }
        return {
            "name": self.name,
            "platform": _PLATFORMS[model.generator.backend],
            "backend": model.generator.backend.value,
            "version_policy": {"specific": {"versions": [int(VERSION)]}},
            "max_batch_size": self.max_images(model, limits),
            "input": [{**item.config(), "optional": item.optional} for item in self.inputs],
            "output": [item.config() for item in self.outputs],
            "instance_group": [instance],
            "dynamic_batching": {
                "preferred_batch_size": [model.mapping.max_batch],
                "max_queue_delay_microseconds": round(max_wait * 1e6),
            },
        }

    def max_images(self, model: Model, limits: Limits) -> int:
        """Images of one request."""
        if self.part is Part.MAPPING:
            return limits.max_images
        return min(limits.max_images, limits.max_pixels // model.generator.spec.resolution**2)


def _tensor(info: TensorInfo, optional: bool = False) -> Tensor:
    return Tensor(info.name, _DATATYPES[info.dtype], tuple(info.shape[1:]), optional)


def _latents(model: Model, mapping: tuple[TensorInfo, ...]) -> Iterator[Tensor]:
    """One latent a mixing source, then the label that all share."""
    z, *labels = mapping
    for name in latent_names(model.generator.seeds_per_image):
        yield Tensor(name, _DATATYPES[z.dtype], tuple(z.shape[1:]))
    yield from (_tensor(item) for item in labels)


def _choices(model: Model) -> Iterator[Tensor]:
    yield Tensor(PSI, "FP32", (model.generator.spec.num_ws,), optional=True)
    yield Tensor(SEED, "INT64", (model.generator.seeds_per_image,), optional=True)
