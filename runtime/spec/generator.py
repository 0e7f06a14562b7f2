"""The specification of a generator: all that is needed to build the network, without its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from runtime.errors import BundleError, quoted
from runtime.records import ChosenBy, from_plain, to_plain
from runtime.spec.bounds import check_finite, check_range
from runtime.spec.mapping import MappingSpec
from runtime.spec.stylegan1 import StyleGAN1Spec
from runtime.spec.stylegan2 import StyleGAN2Spec
from runtime.spec.stylegan3 import StyleGAN3Spec
from runtime.spec.synthesis import Layer, LayerOutput, NoiseInput, SynthesisSpec


class Generation(str, Enum):
    """Which paper's synthesis network this is."""

    STYLEGAN1 = "stylegan1"
    STYLEGAN2 = "stylegan2"
    STYLEGAN3 = "stylegan3"


SYNTHESIS_SPECS: dict[Generation, type[SynthesisSpec]] = {
    Generation.STYLEGAN1: StyleGAN1Spec,
    Generation.STYLEGAN2: StyleGAN2Spec,
    Generation.STYLEGAN3: StyleGAN3Spec,
}


@dataclass(frozen=True)
class Truncation:
    """The truncation that a checkpoint's own code applies unless told otherwise: `cutoff` rows (None: all)."""

    psi: float = 1.0
    cutoff: int | None = None


@dataclass(frozen=True)
class GeneratorSpec:
    """Everything but the weights. JSON round trip: `to_json` and `from_json`."""

    generation: Generation
    img_channels: int
    mapping: MappingSpec
    synthesis: Annotated[SynthesisSpec, ChosenBy("generation", SYNTHESIS_SPECS)]
    truncation: Truncation = Truncation()

    def __post_init__(self) -> None:
        # Pillow and the official scripts know grey, RGB and RGBA.
        if self.img_channels not in (1, 3, 4):
            found = quoted(self.img_channels)
            raise BundleError(f"the generator makes {found} image channels, expected 1, 3 or 4")
        if not isinstance(self.synthesis, SYNTHESIS_SPECS[self.generation]):
            raise BundleError(f"a {self.generation.value} generator has a {type(self.synthesis).__name__}")
        made = self.layers[-1].out_channels
        if made != self.img_channels:
            raise BundleError(f"the generator's last layer makes {made} channels, expected {self.img_channels}")
        check_finite("default psi", self.truncation.psi)
        if self.truncation.cutoff is not None:
            check_range("default cutoff", self.truncation.cutoff, 0, 2**31)

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return self.synthesis.resolution

    @property
    def z_dim(self) -> int:
        """Width of the latent `z`."""
        return self.mapping.z_dim

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent `w`."""
        return self.mapping.w_dim

    @property
    def c_dim(self) -> int:
        """Width of the label `c`; 0 where the generator is unconditional."""
        return self.mapping.c_dim

    @property
    def num_ws(self) -> int:
        """Number of style vectors that synthesis takes."""
        return self.synthesis.num_ws

    @property
    def default_cutoff(self) -> int | None:
        """Rows that the checkpoint's own code truncates unless told otherwise; None where it truncates all."""
        cutoff = self.truncation.cutoff
        return None if cutoff is None or cutoff >= self.num_ws else cutoff

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that an image takes, in synthesis order."""
        return self.synthesis.layers(self.img_channels)

    @property
    def outputs(self) -> tuple[LayerOutput, ...]:
        """What can be compared between the mapping network's layers and those of synthesis, in order."""
        mapping = (LayerOutput(f"mapping.fc{index}", width, None) for index, width in enumerate(self.mapping.features))
        return (*mapping, *self.synthesis.outputs(self.img_channels))

    @property
    def noise_inputs(self) -> tuple[NoiseInput, ...]:
        """The noise inputs, in synthesis order."""
        return self.synthesis.noise_inputs

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """`(H, W)` of each noise input, in synthesis order."""
        return tuple((item.size, item.size) for item in self.noise_inputs)

    @property
    def takes_transform(self) -> bool:
        """Whether synthesis takes a `transform` [N or 1, 3, 3]."""
        return self.synthesis.takes_transform

    def at_resolution(self, resolution: int) -> GeneratorSpec:
        """The same generator stopped at a lower resolution. Raises BundleError where it can't be."""
        return dataclasses.replace(self, synthesis=self.synthesis.at_resolution(resolution))

    def at_lod(self, lod: float) -> GeneratorSpec:
        """The same generator at another level of detail. Raises BundleError where there is none such."""
        return dataclasses.replace(self, synthesis=self.synthesis.at_lod(lod))

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json`."""
        return to_plain(self)

    @classmethod
    def from_json(cls, data: Any, where: str = "specification") -> GeneratorSpec:
        """Read what `to_json` wrote. Raises BundleError naming the field that is wrong."""
        return from_plain(cls, data, where)
