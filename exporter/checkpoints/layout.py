"""Canonical names and shapes of a generator's weights, derived from its specification alone."""

from __future__ import annotations

from runtime.spec import Architecture, GeneratorSpec, LayerKind, MappingSpec

Shape = tuple[int, ...]


def expected_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    """Every weight of a network of this specification: name -> shape. `mapping.w_avg` may be absent from a file."""
    return {**_mapping_shapes(spec.mapping), **_synthesis_shapes(spec)}


def _mapping_shapes(mapping: MappingSpec) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    if mapping.c_dim:
        shapes["mapping.embed.weight"] = (mapping.embed_features, mapping.c_dim)
        shapes["mapping.embed.bias"] = (mapping.embed_features,)
    inputs = mapping.z_dim + mapping.embed_features
    for index, outputs in enumerate(mapping.features):
        shapes[f"mapping.fc{index}.weight"] = (outputs, inputs)
        shapes[f"mapping.fc{index}.bias"] = (outputs,)
        inputs = outputs
    shapes["mapping.w_avg"] = (mapping.w_dim,)
    return shapes


def _synthesis_shapes(spec: GeneratorSpec) -> dict[str, Shape]:
    network = spec.synthesis
    shapes: dict[str, Shape] = {"synthesis.b4.const": (network.channels[0], 4, 4)}
    for layer in spec.layers:
        prefix = f"synthesis.{layer.name}"
        kernel = 3 if layer.kind is LayerKind.CONV else 1
        shapes[f"{prefix}.weight"] = (layer.out_channels, layer.in_channels, kernel, kernel)
        shapes[f"{prefix}.bias"] = (layer.out_channels,)
        shapes[f"{prefix}.affine.weight"] = (layer.in_channels, spec.w_dim)
        shapes[f"{prefix}.affine.bias"] = (layer.in_channels,)
        if layer.noise is not None:
            shapes[f"{prefix}.noise_strength"] = ()
            shapes[f"{prefix}.noise_const"] = (layer.resolution, layer.resolution)
    if network.architecture is Architecture.RESNET:
        for index in range(1, len(network.channels)):
            name = f"synthesis.b{network.resolutions[index]}.skip.weight"
            shapes[name] = (network.channels[index], network.channels[index - 1], 1, 1)
    return shapes
