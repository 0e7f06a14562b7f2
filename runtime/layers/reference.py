"""What layers are held against: what the reference put out for golden samples, whole or in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from runtime.errors import BundleError
from runtime.golden import GoldenInputs
from runtime.layers.compare import border_of
from runtime.layers.difference import Difference
from runtime.layers.evidence import suspects_in
from runtime.layers.marked import WS
from runtime.layers.probes import cut_probes, probe_count, probe_pixels, split_probes
from runtime.layers.reports import Suspect
from runtime.spec import LayerOutput


@dataclass(frozen=True)
class Expected:
    """A layer's values [N, C, P] for N golden images, and which of the P pixels are on the border: bool [P]."""

    values: np.ndarray
    border: np.ndarray


class LayerReference(Protocol):
    """The truth. `images` are numbers of golden samples, `outputs` the layers to tell."""

    @property
    def name(self) -> str:
        """What it is, in words."""
        ...

    @property
    def knows_all(self) -> bool:
        """Whether it knows the layers of all golden samples, not only of the first."""
        ...

    def expected(self, outputs: Sequence[LayerOutput], images: np.ndarray) -> dict[str, Expected]:
        """The layers' values, by name."""
        ...

    def cut(self, output: LayerOutput, measured: np.ndarray) -> np.ndarray:
        """A measured output [N, C, size, size] or [N, C] -> the values that are compared, [N, C, P]."""
        ...

    def suspects(self, difference: Difference, images: np.ndarray) -> Sequence[Suspect]:
        """What may be the cause of the first layer's difference, the likeliest first."""
        ...


class StoredProbes:
    """The values that a bundle keeps: a few of each channel."""

    name = "stored values of the reference"
    knows_all = False

    def __init__(self, golden: GoldenInputs) -> None:
        """Raises BundleError where the samples' probes are not of the bundle's generator."""
        spec, probes = golden.bundle.spec, golden.samples.probes
        if probes.shape[1] != probe_count(spec):
            raise BundleError(
                f"the golden samples keep {probes.shape[1]} values of an image's layers, expected "
                f"{probe_count(spec)}; export the bundle again"
            )
        self._golden, self._probes = golden, split_probes(spec, probes)

    def expected(self, outputs: Sequence[LayerOutput], images: np.ndarray) -> dict[str, Expected]:
        """The layers' values, by name."""
        found = {
            item.name: Expected(self._probes[item.name][images], border_of(probe_pixels(item), item.size))
            for item in outputs
            if item.name != WS
        }
        for item in outputs:
            if item.name == WS:  # which follows from what is stored
                found[WS] = Expected(whole_layer(item, self._golden.ws(images)), whole_border(item))
        return found

    def cut(self, output: LayerOutput, measured: np.ndarray) -> np.ndarray:
        """The few pixels of each channel; of `ws` all."""
        return whole_layer(output, measured) if output.name == WS else cut_probes(output, measured)

    def suspects(self, difference: Difference, images: np.ndarray) -> Sequence[Suspect]:
        """What the values alone speak for."""
        return suspects_in(difference)


def whole_layer(output: LayerOutput, values: np.ndarray) -> np.ndarray:
    """[N, C, ...] -> all values [N, C, P]."""
    return values.reshape(*values.shape[:2], -1)


def whole_border(output: LayerOutput) -> np.ndarray:
    """Which pixels of a layer are on its border, one row after the other: bool [size * size]."""
    if output.size is None:
        return np.zeros(1, bool)
    y, x = np.divmod(np.arange(output.size**2), output.size)
    return border_of(np.stack([y, x], axis=1), output.size)
