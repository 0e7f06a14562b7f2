"""Generators as NVIDIA's TensorFlow code pickles them: `(G, D, Gs)`, each network a record of options and variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from exporter.checkpoints import Checkpoint
from runtime.spec import Generation, GeneratorSpec, Layer, LayerKind, StyleGAN1Spec, StyleGAN2Spec
from tests.exporter.checkpoints.known_networks import exact_checkpoint
from tests.exporter.checkpoints.numpy_pickles import array_of
from tests.exporter.checkpoints.snapshots import Made, Name, to_pickle

NETWORK = Name("dnnlib.tflib.network", "Network")
COMPONENTS = ("synthesis", "mapping")
FUSED_FROM = 128
FUNCTIONS = {
    3: ("G_style", "G_synthesis", "G_mapping", "D_basic"),
    4: ("G_main", "G_synthesis_stylegan2", "G_mapping", "D_stylegan2"),
}
"""Build functions by the version of the record: of a generator, its components, and a discriminator."""

VERSIONS = {Generation.STYLEGAN1: 3, Generation.STYLEGAN2: 4}
"""Of the record, in the repository of each generation."""

Variables = dict[str, np.ndarray]


def variables_of(checkpoint: Checkpoint, fused: bool | str = "auto") -> Variables:
    """All variables of a generator; those of its components begin with the component's name."""
    weights, network = checkpoint.weights, checkpoint.spec.synthesis
    variables = {"lod": np.array(network.level_of_detail, np.float32), "dlatent_avg": weights["mapping.w_avg"]}
    synthesis = {"4x4/Const/const": weights["synthesis.b4.const"][None]}
    if isinstance(network, StyleGAN1Spec):
        synthesis["lod"] = np.array(0, np.float32)
        for layer in network.all_layers(checkpoint.spec.img_channels):
            synthesis |= _stylegan1_layer(checkpoint, network, layer, fused)
    else:
        assert isinstance(network, StyleGAN2Spec)
        for layer in network.layers(checkpoint.spec.img_channels):
            synthesis |= _stylegan2_layer(checkpoint, layer)
        for side in network.resolutions:
            if f"synthesis.b{side}.skip.weight" in weights:
                synthesis[f"{side}x{side}/Skip/weight"] = _kernel(weights[f"synthesis.b{side}.skip.weight"])
    variables |= {f"synthesis/{name}": array for name, array in synthesis.items()}
    return variables | {f"mapping/{name}": array for name, array in _mapping(weights)}


@cache
def honest_variables(spec: GeneratorSpec) -> Variables:
    """Variables of such a generator. Copy the dictionary before changing it."""
    return variables_of(exact_checkpoint(spec))


def _mapping(weights: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    if "mapping.embed.bias" in weights:
        yield "LabelEmbed/weight", weights["mapping.embed.weight"].T
        yield "LabelEmbed/bias", weights["mapping.embed.bias"]
    elif "mapping.embed.weight" in weights:
        yield "LabelConcat/weight", weights["mapping.embed.weight"].T
    for name in weights:
        if name.startswith("mapping.fc"):
            layer, kind = name.removeprefix("mapping.fc").split(".")
            yield f"Dense{layer}/{kind}", weights[name].T


def _part(checkpoint: Checkpoint, layer: Layer) -> Variables:
    prefix = f"synthesis.{layer.name}."
    return {name.removeprefix(prefix): item for name, item in checkpoint.weights.items() if name.startswith(prefix)}


def _kernel(weight: np.ndarray, flipped: bool = False) -> np.ndarray:
    """[out, in, k, k] -> [k, k, in, out]."""
    return np.transpose(weight[:, :, ::-1, ::-1] if flipped else weight, (2, 3, 1, 0))


def _stylegan1_layer(checkpoint: Checkpoint, network: StyleGAN1Spec, layer: Layer, fused: bool | str) -> Variables:
    part, side = _part(checkpoint, layer), layer.out_size
    if layer.kind is LayerKind.TO_RGB:
        scope = f"ToRGB_lod{network.resolution.bit_length() - side.bit_length()}"
        return {f"{scope}/weight": _kernel(part["weight"]), f"{scope}/bias": part["bias"]}
    first = layer.name.endswith("conv0")
    scope = f"{side}x{side}/" + (("Const" if first else "Conv") if side == 4 else ("Conv0_up" if first else "Conv1"))
    variables = {
        f"{scope}/bias": part["bias"],
        f"{scope}/StyleMod/weight": part["style.weight"].T,
        f"{scope}/StyleMod/bias": part["style.bias"],
    }
    if layer.kind is LayerKind.CONV:
        fuses = side >= FUSED_FROM if fused == "auto" else bool(fused)
        variables[f"{scope}/weight"] = _kernel(part["weight"], flipped=layer.up and fuses)
    if layer.noise is not None:
        variables[f"{scope}/Noise/weight"] = part["noise_weight"]
        variables[f"noise{layer.noise}"] = part["noise_const"][None, None]
    return variables


def _stylegan2_layer(checkpoint: Checkpoint, layer: Layer) -> Variables:
    part, side = _part(checkpoint, layer), layer.out_size
    scopes = {"conv0": "Conv0_up", "conv1": "Conv" if side == 4 else "Conv1", "torgb": "ToRGB"}
    scope = f"{side}x{side}/{scopes[layer.name.split('.')[1]]}"
    variables = {
        f"{scope}/weight": _kernel(part["weight"], flipped=layer.up),
        f"{scope}/bias": part["bias"],
        f"{scope}/mod_weight": part["affine.weight"].T,
        f"{scope}/mod_bias": part["affine.bias"] - 1,
    }
    if layer.noise is not None:
        variables[f"{scope}/noise_strength"] = part["noise_strength"]
        variables[f"noise{layer.noise}"] = part["noise_const"][None, None]
    return variables


def record(
    function: str,
    variables: Mapping[str, Any],
    options: Mapping[str, Any],
    version: int = 3,
    components: Mapping[str, Any] | None = None,
    protocol: int = 4,
) -> Made:
    """A network; arrays among the variables are pickled as NumPy pickles them, other values as they are."""
    pairs = [
        (name, array_of(value, protocol) if isinstance(value, np.ndarray) else value)
        for name, value in variables.items()
    ]
    state = {"version": version, "name": function, "static_kwargs": dict(options), "components": dict(components or {})}
    return Made(NETWORK, {**state, "build_module_src": "", "build_func_name": function, "variables": pairs})


def snapshot(
    variables: Mapping[str, Any], options: Mapping[str, Any], version: int = 3, protocol: int = 4
) -> tuple[Made, Made, Made]:
    """What training pickles: Gs with these variables, G with zeros instead, and an empty D."""
    function, synthesis, mapping, discriminator = FUNCTIONS[version]

    def generator(values: Mapping[str, Any]) -> Made:
        parts: dict[str, dict[str, Any]] = {"": {}, **{name: {} for name in COMPONENTS}}
        for name, value in values.items():
            component, _, rest = name.partition("/")
            parts[component if component in COMPONENTS else ""][rest if component in COMPONENTS else name] = value
        built = {
            "synthesis": record(synthesis, parts["synthesis"], options, version, protocol=protocol),
            "mapping": record(mapping, parts["mapping"], options, version, protocol=protocol),
        }
        return record(function, parts[""], options, version, built, protocol)

    zeros = {name: np.zeros_like(value) for name, value in variables.items() if isinstance(value, np.ndarray)}
    return generator(zeros), record(discriminator, {}, options, version, protocol=protocol), generator(variables)


def tensorflow_pickle(
    variables: Mapping[str, Any], options: Mapping[str, Any], version: int = 3, protocol: int = 4
) -> bytes:
    """The same, as a file."""
    return to_pickle(snapshot(variables, options, version, protocol), protocol)
