"""NVIDIA's PyTorch pickles: StyleGAN2-ADA, and the StyleGAN2 class of the StyleGAN3 code.

A pickled network is a tree of `_reconstruct_persistent_obj(meta)` records, each with the state of one module. The state
holds every hyper-parameter as an attribute, so that the source text that the file embeds is never needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.layout import check_shapes
from exporter.checkpoints.pickle_machine import (
    AllowList,
    BoundedReader,
    Global,
    Instance,
    empty_dictionary,
    load_pickle,
    shorten,
)
from exporter.checkpoints.tensors import NUMPY_GLOBALS, TORCH_GLOBALS, StorageStreams, as_array
from runtime.errors import CheckpointError
from runtime.spec import Architecture, Generation, GeneratorSpec, MappingSpec, StyleGAN2Spec

PERSISTENCE_VERSION = 6
"""The one version of the module record that NVIDIA's repositories have published."""
SEPARABLE_TOLERANCE = 1e-6
"""How far a stored two-dimensional filter may be from the outer product of its taps: float32 rounding."""

NETWORK_KEYS = ("G_ema", "G")
"""Where a training snapshot keeps its generator, best first: the averaged weights are the ones that people mean."""

Value = TypeVar("Value")


@dataclass
class Module:
    """One module of the pickled tree: its class, attributes, tensors and children."""

    path: str
    class_name: str
    attributes: dict[str, Any]
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    children: dict[str, Module] = field(default_factory=dict)

    def get(self, name: str, kind: type[Value] | tuple[type[Value], ...]) -> Value:
        """An attribute of a known type. Raises CheckpointError where it is missing or of another type."""
        value = self.attributes.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(
                f"the module {self.path or 'generator'} has {name} = {value!r}, which is not understood"
            )
        return value

    def child(self, name: str) -> Module:
        """A child module. Raises CheckpointError where it is missing."""
        if name not in self.children:
            raise CheckpointError(f"the module {self.path or 'generator'} ({self.class_name}) has no part {name!r}")
        return self.children[name]

    def walk(self) -> Iterator[Module]:
        """This module and everything below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


def _persistent_object(meta: Any, *_: Any) -> Instance:
    if not isinstance(meta, dict):
        raise CheckpointError("the pickle is damaged: a module has no record")
    return Instance(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), state=meta)


def _scalar_set(items: Any = (), *_: Any) -> set[Any]:
    if len(items) > limits.MAX_SET_ITEMS or not all(isinstance(item, (str, int)) for item in items):
        raise CheckpointError("the pickle is damaged: a set holds something else than a few names")
    return set(items)


def _tensorflow_network(*_: Any) -> Instance:
    return Instance(Global("dnnlib.tflib.network", "Network"))


_ALLOWED: AllowList = {
    **TORCH_GLOBALS,
    **NUMPY_GLOBALS,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_object,
    ("collections", "OrderedDict"): empty_dictionary,
    ("dnnlib.util", "EasyDict"): empty_dictionary,
    ("builtins", "set"): _scalar_set,
    ("__builtin__", "set"): _scalar_set,
    # Only so that a TensorFlow pickle can be named as what it is.
    ("dnnlib.tflib.network", "Network"): _tensorflow_network,
}


def read_nvidia_pickle(file: IO[bytes], size: int) -> tuple[GeneratorSpec, dict[str, np.ndarray], dict[str, str]]:
    """Read a training snapshot: the specification, the generator's weights, and details.

    Raises UnsafeCheckpointError where the pickle names anything outside the allow-list, else CheckpointError.
    """
    allowed: AllowList = {**_ALLOWED, ("torch.storage", "_load_from_bytes"): StorageStreams()}
    value = load_pickle(BoundedReader(file, size), allowed)
    key, record = _find_generator(value)
    generator = _module(record, "", 0)
    synthesis, mapping = generator.child("synthesis"), generator.child("mapping")
    if "layer_names" in synthesis.attributes:
        raise CheckpointError(f"the file holds a StyleGAN3 generator, which is not supported yet; {SUPPORTED}")
    if "block_resolutions" not in synthesis.attributes:
        raise CheckpointError(f"the file holds a generator of an unknown kind; {SUPPORTED}")
    spec = GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=generator.get("img_channels", int),
        mapping=_mapping_spec(generator, mapping),
        synthesis=_synthesis_spec(synthesis),
    )
    _check_agreement(generator, spec)
    return spec, _weights(generator, spec), {"network": key, "pickle protocol": _protocol(file)}


def _find_generator(value: Any) -> tuple[str, Instance]:
    if isinstance(value, tuple) and any(_is_tensorflow(item) for item in value):
        raise CheckpointError(
            f"the file is a TensorFlow pickle (StyleGAN or StyleGAN2), not supported yet; {SUPPORTED}"
        )
    if not isinstance(value, dict):
        raise CheckpointError(f"the pickle holds a {type(value).__name__}, expected a training snapshot; {SUPPORTED}")
    for key in NETWORK_KEYS:
        record = value.get(key)
        if isinstance(record, Instance) and isinstance(record.state, dict):
            return key, record
    found = ", ".join(repr(str(key)) for key in value) or "nothing"
    raise CheckpointError(f"the pickle has no generator: it holds {found[:200]}, expected 'G_ema'; {SUPPORTED}")


def _is_tensorflow(value: Any) -> bool:
    return isinstance(value, Instance) and value.type == Global("dnnlib.tflib.network", "Network")


def _module(record: Any, path: str, depth: int) -> Module:
    if depth > limits.MAX_MODULE_DEPTH:
        raise CheckpointError(f"the network's modules nest over {limits.MAX_MODULE_DEPTH} deep")
    meta = record.state if isinstance(record, Instance) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise CheckpointError(f"the pickle is damaged: {path or 'the generator'} is not a module")
    if meta.get("version") != PERSISTENCE_VERSION:
        raise CheckpointError(
            f"the module record has version {shorten(meta.get('version'))}, expected {PERSISTENCE_VERSION}"
        )
    state = meta["state"]
    module = Module(path, str(meta.get("class_name")), state)
    for group in ("_parameters", "_buffers"):
        for name, value in _group(state, group).items():
            array = as_array(value)
            if array is not None:
                module.tensors[name] = array
    for name, value in _group(state, "_modules").items():
        if value is not None:
            module.children[name] = _module(value, f"{path}.{name}".lstrip("."), depth + 1)
    return module


def _group(state: dict[str, Any], name: str) -> dict[str, Any]:
    group = state.get(name)
    if not isinstance(group, dict):
        raise CheckpointError(f"the pickle is damaged: a module has no {name}")
    return {str(key): value for key, value in group.items()}


def _mapping_spec(generator: Module, mapping: Module) -> MappingSpec:
    count = mapping.get("num_layers", int)
    layers = [mapping.child(f"fc{index}") for index in range(min(count, len(mapping.children)))]
    if not layers:
        raise CheckpointError("the mapping network has no layer, which is not supported")
    for layer in layers:
        _require_lrelu(layer)
    embed = mapping.children.get("embed")
    return MappingSpec(
        z_dim=generator.get("z_dim", int),
        w_dim=generator.get("w_dim", int),
        c_dim=generator.get("c_dim", int),
        features=tuple(_tensor(layer, "weight", 2).shape[0] for layer in layers),
        embed_features=_tensor(embed, "weight", 2).shape[0] if embed else 0,
        # A fully connected layer's bias gain is its learning-rate multiplier.
        lr_multiplier=_common("bias_gain", [float(layer.get("bias_gain", (int, float))) for layer in layers]),
    )


def _synthesis_spec(synthesis: Module) -> StyleGAN2Spec:
    resolutions = synthesis.get("block_resolutions", list)
    if resolutions != [4 << index for index in range(len(resolutions))] or not resolutions:
        raise CheckpointError(f"the synthesis network has blocks at {shorten(resolutions)}, expected 4, 8, 16, ...")
    blocks = [synthesis.child(f"b{resolution}") for resolution in resolutions]
    convs = [child for block in blocks for name, child in block.children.items() if name.startswith("conv")]
    for conv in convs:
        _require_lrelu(conv)
    architecture = _common("architecture", [block.get("architecture", str) for block in blocks])
    if architecture not in [known.value for known in Architecture]:
        raise CheckpointError(
            f"the synthesis network has the architecture {architecture!r}, expected skip, orig or resnet"
        )
    clamp = _common("conv_clamp", [conv.attributes.get("conv_clamp") for conv in convs])
    return StyleGAN2Spec(
        architecture=Architecture(architecture),
        channels=tuple(_tensor(block.child("conv1"), "weight", 4).shape[0] for block in blocks),
        resample_filter=_resample_filter(synthesis),
        conv_clamp=None if clamp is None else float(clamp),
        use_noise=_common("use_noise", [conv.get("use_noise", bool) for conv in convs]),
        scaled_demodulation=False,
    )


def _require_lrelu(layer: Module) -> None:
    activation = layer.get("activation", str)
    if activation != "lrelu":
        raise CheckpointError(f"{layer.path} uses the activation {activation!r}; only 'lrelu' is supported")


def _common(what: str, values: list[Value]) -> Value:
    """The value that all layers share."""
    if any(value != values[0] for value in values):
        raise CheckpointError(f"the layers disagree on {what}: {shorten(values)}; one value for all is supported")
    return values[0]


def _resample_filter(synthesis: Module) -> tuple[float, ...]:
    """One-dimensional taps, sum 1, of the filter that all layers share (stored as their outer product when short)."""
    stored = [
        module.tensors["resample_filter"].astype(np.float64)
        for module in synthesis.walk()
        if "resample_filter" in module.tensors
    ]
    if not stored or any(kernel.shape != stored[0].shape or (kernel != stored[0]).any() for kernel in stored):
        raise CheckpointError("the layers' resampling filters are missing or differ; one filter for all is supported")
    kernel = stored[0]
    taps = kernel if kernel.ndim == 1 else kernel.sum(axis=-1)
    outer = np.outer(taps, taps)
    if kernel.ndim == 2 and (outer.shape != kernel.shape or np.abs(outer - kernel).max() > SEPARABLE_TOLERANCE):
        raise CheckpointError("the resampling filter is not separable, which is not supported")
    return tuple(float(tap) for tap in np.atleast_1d(taps))


def _tensor(module: Module, name: str, dimensions: int) -> np.ndarray:
    array = module.tensors.get(name)
    if array is None or array.ndim != dimensions:
        raise CheckpointError(f"{module.path} has no {dimensions}-dimensional tensor {name!r}")
    return array


def _weights(generator: Module, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    views = {
        f"{module.path}.{name}": array
        for module in generator.walk()
        for name, array in module.tensors.items()
        if name != "resample_filter"
    }
    check_shapes(spec, views)  # before anything is copied
    return {name: np.array(array, dtype=np.float32, order="C") for name, array in views.items()}


def _check_agreement(generator: Module, spec: GeneratorSpec) -> None:
    for name in ("img_resolution", "num_ws"):
        claimed, derived = generator.get(name, int), getattr(spec, name.replace("img_", ""))
        if claimed != derived:
            raise CheckpointError(f"the generator says {name} = {claimed}, but its layers say {derived}")


def _protocol(file: IO[bytes]) -> str:
    file.seek(0)
    head = file.read(2)
    return str(head[1]) if head[:1] == b"\x80" else "0"
