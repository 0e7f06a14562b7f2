"""The exact rewrites that make the exported form fast: each with a name, and a switch to do without it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from runtime.errors import InputError


class Pass(str, Enum):
    """A rewrite. Without it the graph draws the same images by the operations that the rewrite replaces."""

    GAIN = "gain"
    STYLES = "styles"
    RGB = "rgb"
    UP = "up"
    PARTS = "parts"
    WIDTHS = "widths"
    PHASES = "phases"


DESCRIPTIONS = {
    Pass.GAIN: "the activation's gain in demodulation, noise strength and bias: leaky ReLU is positively homogeneous",
    Pass.STYLES: "the affine layers of all styles in one batched product, all demodulations in another",
    Pass.RGB: "StyleGAN2's toRGB as a batched product with the style in its weights: a pass over the input less",
    Pass.UP: "StyleGAN2's up-convolutions in the form that is cheapest on the target; without it as they are defined",
    Pass.PARTS: "large layers in parts of their channels, so that what a CPU holds meanwhile stays small",
    Pass.WIDTHS: "StyleGAN3's channels rounded up to what vector units take at once",
    Pass.PHASES: "StyleGAN3's filters on the phases of the up-sampled pixels, which are never put in their order",
}
"""What each does, and why that is the same function."""

ALL = frozenset(Pass)


def without(names: Collection[str]) -> frozenset[Pass]:
    """All passes but those named. Raises InputError for a name that is none."""
    unknown = sorted(set(names) - {item.value for item in Pass})
    if unknown:
        raise InputError(
            f"pass {unknown[0][:40]!r} is unknown, expected one of {', '.join(item.value for item in Pass)}"
        )
    return ALL - {Pass(name) for name in names}


def names_of(passes: Collection[Pass]) -> Sequence[str]:
    """Names in the order of the passes."""
    return [item.value for item in Pass if item in passes]
