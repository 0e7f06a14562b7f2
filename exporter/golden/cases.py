"""Which golden images there are: the fewest that cover everything, and more where the network is cheap."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from exporter.golden.budget import most_stored
from runtime.cost import count_cost
from runtime.manifest import NoiseMode
from runtime.mixing import Mask
from runtime.noise import Noise
from runtime.parity import ENOUGH_VALUES
from runtime.spec import GeneratorSpec

MAX_IMAGES = 128
"""Images that export compares at most, however small they are."""
MAX_WORK = 540e9
"""Multiply-adds of the images that export draws at most, beyond the essential: some 20 s of two CPU cores."""
MAX_PIXELS = 1 << 20
"""Pixels of stored images, beyond the essential: from 512 px on there are no others."""
FIR_WEIGHT = 5
"""How much more time than a convolution's a FIR filter's multiply-add takes on a CPU: it waits for memory."""
NOISE_SEED = 7
RAMP = (1.0, -0.7)
"""psi of the first and of the last row, where each row has its own."""


@dataclass(frozen=True)
class Case:
    """One golden image: truncation, noise, of which latents, which label, and its motion.

    `cutoff`: psi is for the first rows alone, and 1 for the others. `ramp`: psi differs in every row, and the image is
    the pipeline graph's alone. `mixed`: every row of `ws` comes from a latent of its own. `blended`: the label has a
    little of all classes. A motion is a turn in degrees and a move (x, y) in image widths; None leaves the checkpoint's
    own transform.
    """

    psi: float
    noise: Noise
    cutoff: bool = False
    ramp: bool = False
    mixed: bool = False
    blended: bool = False
    motion: tuple[float, tuple[float, float]] | None = None


ESSENTIAL = (
    Case(0.7, NOISE_SEED, cutoff=True, motion=(20.0, (0.1, -0.05))),
    Case(1.0, "const", mixed=True),
    Case(-0.7, "none", blended=True, motion=(-135.0, (0.0, 0.0))),
    Case(0.0, "const"),
)
"""Drawn whatever they cost. Four values of psi take four images, and four will do: neighbours differ in their noise and
motion, so that a batch of two, in any order, shows what one image takes of another; one has its noise fresh from a
seed; in one no two rows of `ws` are alike, so that rows which change places show; and one has a label in which every
class has a weight of its own. The first two, one mixed and one not, are those that probes are of."""
PIPELINE_CASE = Case(1.0, "const", ramp=True)
"""One more where there is a pipeline graph, which takes psi by row: only where all rows differ does each show. The
synthesis graph knows nothing of psi, and with a mixing mask it could not draw this one: its styles are truncated
before they are mixed, where there are no rows yet."""
FURTHER = (
    Case(1.0, "const"),
    Case(1.0, NOISE_SEED, mixed=True, motion=(0.0, (-0.3, 0.6))),
    Case(0.7, "none"),
    Case(0.5, NOISE_SEED + 1, cutoff=True),
)
"""Where the network is cheap and the file has room."""


@dataclass(frozen=True)
class Plan:
    """The images to draw and compare at export, and how many of the first to store."""

    cases: tuple[Case, ...]
    stored: int


def plan_images(spec: GeneratorSpec, mask: Mask, noise: NoiseMode, pipeline: bool) -> Plan:
    """The cases of a bundle, with only the noise that its graphs can take."""
    essential = (*ESSENTIAL, PIPELINE_CASE) if pipeline else ESSENTIAL
    every = (*essential, *FURTHER)
    affordable = affordable_images(spec, MAX_WORK, MAX_IMAGES)
    room = min(most_stored(spec, mask), MAX_PIXELS // spec.resolution**2)
    stored = max(len(essential), min(len(every), affordable, room))
    enough = -(-ENOUGH_VALUES // (spec.img_channels * spec.resolution**2))
    compared = max(stored, min(enough, affordable))
    again = (*ESSENTIAL, *FURTHER)  # of other latents
    cases = [*every, *(again[index % len(again)] for index in range(compared))][:compared]
    return Plan(tuple(_possible(case, mask, noise) for case in cases), stored)


def _possible(case: Case, mask: Mask, noise: NoiseMode) -> Case:
    """The case with the noise that the graphs hold, if they do; a mask mixes by itself, and knows no cutoff."""
    baked: Noise = {NoiseMode.CONST: "const", NoiseMode.NONE: "none"}.get(noise, case.noise)
    own = mask.is_identity
    return replace(case, noise=baked, mixed=case.mixed and own, cutoff=case.cutoff and own)


def psi_of_rows(case: Case, spec: GeneratorSpec, fixed: Collection[int]) -> np.ndarray:
    """float32 [num_ws]: the truncation of every row of `ws`. `fixed` rows are the graph's own, whatever their psi."""
    if case.ramp:
        return np.linspace(*RAMP, spec.num_ws).astype(np.float32)
    rows = np.full(spec.num_ws, case.psi, np.float32)
    free = sorted({layer.style for layer in spec.layers if layer.style is not None} - set(fixed))
    if case.cutoff and len(free) > 1:
        rows[free[len(free) // 2] :] = 1
    return rows


def affordable_images(spec: GeneratorSpec, work: float, most: int) -> int:
    """How many images, 1 to `most`, make no more than `work` multiply-adds."""
    cost = count_cost(spec)
    return max(1, min(most, int(work // (cost.convolutions + FIR_WEIGHT * cost.fir))))
