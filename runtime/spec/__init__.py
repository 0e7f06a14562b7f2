"""The specification of a generator: all that is needed to build the network, without its weights."""

from runtime.spec.bounds import MAX_BLOCKS, MAX_FILTER_TAPS, MAX_LAYERS, MAX_MAPPING_LAYERS, MAX_WIDTH
from runtime.spec.generator import Generation, GeneratorSpec, Truncation
from runtime.spec.mapping import LabelInput, MappingSpec
from runtime.spec.names import TRANSFORM, latent_names, noise_name
from runtime.spec.stylegan1 import EqualizedRates, StyleGAN1Spec
from runtime.spec.stylegan2 import Architecture, StyleGAN2Spec
from runtime.spec.stylegan3 import FilteredLayer, Fourier, StyleGAN3Spec
from runtime.spec.synthesis import Layer, LayerCost, LayerKind, LayerOutput, NoiseInput, SynthesisSpec

__all__ = [
    "MAX_BLOCKS",
    "MAX_FILTER_TAPS",
    "MAX_LAYERS",
    "MAX_MAPPING_LAYERS",
    "MAX_WIDTH",
    "TRANSFORM",
    "Architecture",
    "EqualizedRates",
    "FilteredLayer",
    "Fourier",
    "Generation",
    "GeneratorSpec",
    "LabelInput",
    "Layer",
    "LayerCost",
    "LayerKind",
    "LayerOutput",
    "MappingSpec",
    "NoiseInput",
    "StyleGAN1Spec",
    "StyleGAN2Spec",
    "StyleGAN3Spec",
    "SynthesisSpec",
    "Truncation",
    "latent_names",
    "noise_name",
]
