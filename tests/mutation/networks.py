"""The networks whose graphs are broken: one of each kind, exported once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.layers import NetworkReference
from exporter.networks import ReferenceNetwork
from runtime import Bundle
from runtime.golden import GoldenInputs
from runtime.spec import Architecture, GeneratorSpec
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

CLASSES = 5
ASYMMETRIC = (0.1, 0.2, 0.3, 0.4)
"""A filter that a mistake in its order changes; the published ones read the same from both ends."""
ACTIVE_CLAMP = 0.3
"""Activations reach it."""
BLEND = "A:0-2,B*0.25+C*0.75:3-5"
SQUARE_MAPPING = (9, 9, 9)
"""Layers of one width, any of which may be left out."""


def _conditional() -> Checkpoint:
    spec = tiny_spec(c_dim=CLASSES, resample_filter=ASYMMETRIC)
    return tiny_checkpoint(_with_mapping(spec))


def _with_mapping(spec: GeneratorSpec) -> GeneratorSpec:
    return dataclasses.replace(spec, mapping=dataclasses.replace(spec.mapping, features=SQUARE_MAPPING))


def _radial() -> Checkpoint:
    """StyleGAN3-r whose down-sampling filters are not the same from both ends."""
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=True))
    weights = dict(checkpoint.weights)
    for name, taps in weights.items():
        if name.endswith("down_filter"):
            ramp = np.linspace(0.5, 1.5, len(taps)).astype(np.float32)
            weights[name] = taps * (ramp if taps.ndim == 1 else np.multiply.outer(ramp, ramp**2))
    return dataclasses.replace(checkpoint, weights=weights)


@dataclass(frozen=True)
class Recipe:
    """How a network is made, and with what options its bundle is exported."""

    what: str
    make: Callable[[], Checkpoint]
    options: dict[str, object] = field(default_factory=dict)


RECIPES = {
    "skip": Recipe("StyleGAN2 skip, conditional, asymmetric filter", _conditional, {"pipeline": True}),
    "resnet": Recipe(
        "StyleGAN2 resnet, float16 too",
        lambda: tiny_checkpoint(architecture=Architecture.RESNET),
        {"precisions": ("fp32", "fp16")},
    ),
    "orig": Recipe(
        "StyleGAN2 orig, active clamp, blending mask",
        lambda: tiny_checkpoint(architecture=Architecture.ORIG, conv_clamp=ACTIVE_CLAMP),
        {"mask": BLEND},
    ),
    "stylegan": Recipe("StyleGAN", lambda: tiny_checkpoint(tiny_stylegan1_spec())),
    "stylegan3-t": Recipe("StyleGAN3-t", lambda: tiny_checkpoint(tiny_stylegan3_spec())),
    "stylegan3-r": Recipe("StyleGAN3-r, asymmetric filters", _radial),
}


@dataclass(frozen=True)
class Network:
    """A network with its bundle and its reference."""

    name: str
    checkpoint: Checkpoint
    bundle: Bundle
    reference: ReferenceNetwork

    @classmethod
    def export(cls, name: str, folder: Path) -> Network:
        """Export it into a folder, or read what was exported there."""
        recipe, path = RECIPES[name], folder / name
        checkpoint = recipe.make()
        bundle = Bundle(path) if path.exists() else export(checkpoint, path, **recipe.options)  # type: ignore[arg-type]
        return cls(name, checkpoint, bundle, checkpoint.completed().build())

    def reference_of(self, golden: GoldenInputs) -> NetworkReference:
        """All values of every layer."""
        return NetworkReference(self.reference, golden)
