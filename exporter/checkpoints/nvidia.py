"""NVIDIA's PyTorch pickles: StyleGAN2-ADA, and the StyleGAN2 class of the StyleGAN3 code.

A module's state holds every hyper-parameter as an attribute, so that the source text that the file embeds is never
needed.
"""

from __future__ import annotations

from typing import IO, Any, TypeVar

import numpy as np

from exporter.checkpoints import limits
from exporter.checkpoints.detect import SUPPORTED
from exporter.checkpoints.filters import shared_taps
from exporter.checkpoints.layout import check_shapes, to_float32
from exporter.checkpoints.module_tree import PERSISTENCE_VERSION, Module, module_tree, rebuild_module
from exporter.checkpoints.pickle_machine import (
    AllowList,
    BoundedReader,
    Global,
    Instance,
    empty_dictionary,
    load_pickle,
)
from exporter.checkpoints.shown import listed, quoted, shown
from exporter.checkpoints.tensors import NUMPY_GLOBALS, TORCH_GLOBALS, StorageStreams
from runtime.errors import CheckpointError
from runtime.spec import (
    MAX_BLOCKS,
    MAX_MAPPING_LAYERS,
    Architecture,
    Generation,
    GeneratorSpec,
    MappingSpec,
    StyleGAN2Spec,
)

NETWORK_KEYS = ("G_ema", "G")
"""Where a training snapshot keeps its generator, best first: the averaged weights are the ones that people mean."""

Value = TypeVar("Value")


def _scalar_set(items: Any = (), *_: Any) -> set[Any]:
    if len(items) > limits.MAX_SET_ITEMS or not all(isinstance(item, (str, int)) for item in items):
        raise CheckpointError("the pickle is damaged: a set holds something else than a few names")
    return set(items)


def _tensorflow_network(*_: Any) -> Instance:
    return Instance(Global("dnnlib.tflib.network", "Network"))


_ALLOWED: AllowList = {
    **TORCH_GLOBALS,
    **NUMPY_GLOBALS,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): rebuild_module,
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
    generator = module_tree(record)
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
    return (
        spec,
        _weights(generator, spec),
        {"network": key, "pickle protocol": _protocol(file), "module record version": str(PERSISTENCE_VERSION)},
    )


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
    raise CheckpointError(f"the pickle has no generator: it holds {listed(value)}, expected 'G_ema'; {SUPPORTED}")


def _is_tensorflow(value: Any) -> bool:
    return isinstance(value, Instance) and value.type == Global("dnnlib.tflib.network", "Network")


def _mapping_spec(generator: Module, mapping: Module) -> MappingSpec:
    count = mapping.get("num_layers", int)
    if not 1 <= count <= MAX_MAPPING_LAYERS:
        raise CheckpointError(f"the mapping network has {shown(count)} layers, expected 1 to {MAX_MAPPING_LAYERS}")
    layers = [mapping.child(f"fc{index}") for index in range(count)]
    for layer in layers:
        _require_lrelu(layer)
    embed = mapping.children.get("embed")
    return MappingSpec(
        z_dim=generator.get("z_dim", int),
        w_dim=generator.get("w_dim", int),
        c_dim=generator.get("c_dim", int),
        features=tuple(layer.tensor("weight", 2).shape[0] for layer in layers),
        embed_features=embed.tensor("weight", 2).shape[0] if embed else 0,
        # A fully connected layer's bias gain is its learning-rate multiplier.
        lr_multiplier=_common("bias_gain", [layer.number("bias_gain") for layer in layers]),
    )


def _synthesis_spec(synthesis: Module) -> StyleGAN2Spec:
    resolutions = synthesis.get("block_resolutions", list)
    if not 1 <= len(resolutions) <= MAX_BLOCKS or resolutions != [4 << index for index in range(len(resolutions))]:
        found = ", ".join(shown(item) for item in resolutions[:MAX_BLOCKS]) or "no resolution"
        raise CheckpointError(f"the synthesis network has blocks at {found}, expected 4, 8, 16, ...")
    blocks = [synthesis.child(f"b{resolution}") for resolution in resolutions]
    convs = [child for block in blocks for name, child in block.children.items() if name.startswith("conv")]
    for conv in convs:
        _require_lrelu(conv)
    architecture = _common("architecture", [block.get("architecture", str) for block in blocks])
    if architecture not in [known.value for known in Architecture]:
        raise CheckpointError(
            f"the synthesis network has the architecture {quoted(architecture)}, expected skip, orig or resnet"
        )
    return StyleGAN2Spec(
        architecture=Architecture(architecture),
        channels=tuple(block.child("conv1").tensor("weight", 4).shape[0] for block in blocks),
        resample_filter=shared_taps(
            [module.tensors["resample_filter"] for module in synthesis.walk() if "resample_filter" in module.tensors]
        ),
        conv_clamp=_common("conv_clamp", [_clamp(conv) for conv in convs]),
        use_noise=_common("use_noise", [conv.get("use_noise", bool) for conv in convs]),
        scaled_demodulation=False,
    )


def _clamp(conv: Module) -> float | None:
    return None if conv.attributes.get("conv_clamp") is None else conv.number("conv_clamp")


def _require_lrelu(layer: Module) -> None:
    activation = layer.get("activation", str)
    if activation != "lrelu":
        raise CheckpointError(f"{layer} uses the activation {quoted(activation)}; only 'lrelu' is supported")


def _common(what: str, values: list[Value]) -> Value:
    """The value that all layers share."""
    if not values:
        raise CheckpointError(f"the network has no layer that would say its {what}")
    if any(value != values[0] for value in values):
        found = " and ".join(dict.fromkeys(shown(value) for value in values))
        raise CheckpointError(f"the layers disagree on {what}: {found}; one value for all is supported")
    return values[0]


def _weights(generator: Module, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    views = {
        f"{module.path}.{name}": array
        for module in generator.walk()
        for name, array in module.tensors.items()
        if name != "resample_filter"
    }
    check_shapes(spec, views)  # before anything is copied
    return {name: to_float32(array) for name, array in views.items()}


def _check_agreement(generator: Module, spec: GeneratorSpec) -> None:
    for name in ("img_resolution", "num_ws"):
        claimed, derived = generator.get(name, int), getattr(spec, name.replace("img_", ""))
        if claimed != derived:
            raise CheckpointError(f"the generator says {name} = {shown(claimed)}, but its layers say {derived}")


def _protocol(file: IO[bytes]) -> str:
    file.seek(0)
    head = file.read(2)
    return str(head[1]) if head[:1] == b"\x80" else "0"
