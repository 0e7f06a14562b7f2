"""Which images a bundle is checked over: a plan that covers psi, cutoffs, mixing cuts, noise, labels and transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.manifest import ExportOptions, NoiseMode
from runtime.noise import Noise
from runtime.spec import GeneratorSpec

SEED_STRIDE = 1_000_003
"""Samples of different verification seeds have different latent seeds: seed * stride + index."""
SEEDS = 2**31
"""Latent seeds lie below it, far enough from the largest for those of all sources of a mask to follow."""
PSI_LOW, PSI_HIGH = -1.0, 1.5
"""Truncations that samples have: the whole range that artists use."""
PSI_TURN = (PSI_LOW, PSI_HIGH, None, 1.0, None)
"""Psi of successive samples; None is drawn from the whole range. The ends first: truncation acts most there, on -1 with
all signs reversed, on 1.5 with the largest activations. At 1 `w` is taken as it is."""
MIX_TURN = 4
"""Every so many samples one is unmixed, the first among them. The pipeline graph can draw no other; more of them would
leave fewer for the cut points."""
NOISE_TURN = ("seed", "const", "none")
"""Noise of successive samples where the graph takes any. The lengths of these turns have no common factor, so that
every psi comes with every noise, mixed and unmixed."""
OWN_TRANSFORM_TURN = 7
"""Every so many samples one has the checkpoint's own transform."""
DECIMALS = 2
"""Of drawn numbers, so that a command that draws a sample again is one that people type."""


@dataclass(frozen=True)
class Sample:
    """All that an image is drawn from.

    `seeds` holds the seed of its latent, or one for each source where the bundle mixes inside its graph. Rows of `ws`
    from `cut` on are of the latent of the seed `second`, where there is one. `psi` moves the first `cutoff` rows of
    both (None: all). `noise` is "const", "none" or a seed, `label` a class, and `transform` a turn in degrees
    (counter-clockwise) with a move to the right and down in image widths (None: the checkpoint's own, if it has any).
    """

    seeds: tuple[int, ...]
    second: int | None
    cut: int | None
    psi: float
    cutoff: int | None
    noise: str | int
    label: int | None
    transform: tuple[float, float, float] | None

    @property
    def mixed(self) -> bool:
        """Whether a second latent takes over: more than the pipeline graph can draw."""
        return self.second is not None

    @property
    def latent_seeds(self) -> tuple[int, ...]:
        """The seeds of all latents, `second` last."""
        return self.seeds if self.second is None else (*self.seeds, self.second)

    def psi_rows(self, num_ws: int) -> np.ndarray:
        """Psi of each row of `ws`, float32 [num_ws]: 1 from the cutoff on."""
        rows = np.full(num_ws, self.psi, np.float32)
        rows[num_ws if self.cutoff is None else self.cutoff :] = 1
        return rows


def plan_samples(spec: GeneratorSpec, options: ExportOptions, samples: int, seed: int) -> tuple[Sample, ...]:
    """The images to compare, most telling first: a longer plan of the same seed begins with the shorter one.

    Both ends of psi are in the first two samples, the three kinds of noise in the first three, every label in the first
    `c_dim`, and every cut point in the first `samples_for_all_cuts`. A bundle with a mixing mask has no cuts and no
    cutoffs of its own: its graph mixes, each source truncated whole.
    """
    random = np.random.RandomState(seed)
    labels = random.permutation(spec.c_dim)
    cuts, cutoffs = spread(cut_points(spec, options)), _cutoffs(spec, options)
    latents = max(2, options.latents_per_image)
    plan = []
    for index in range(samples):
        psi, motion = _draw(random)  # for every sample, so that a longer plan begins with this one
        first = (seed * SEED_STRIDE + index * latents) % SEEDS
        fixed = PSI_TURN[index % len(PSI_TURN)]
        mixed = bool(cuts) and index % MIX_TURN > 0
        mixed_before = index - -(-index // MIX_TURN)
        own = not spec.takes_transform or index % OWN_TRANSFORM_TURN == OWN_TRANSFORM_TURN - 1
        plan.append(
            Sample(
                seeds=tuple(range(first, first + options.latents_per_image)),
                second=first + 1 if mixed else None,
                cut=cuts[mixed_before % len(cuts)] if mixed else None,
                psi=psi if fixed is None else fixed,
                cutoff=_cutoff(cutoffs, index),
                noise=_noise(spec, options, index, first),
                label=int(labels[(index + index // spec.c_dim) % spec.c_dim]) if spec.c_dim else None,
                transform=None if own else motion,
            )
        )
    return tuple(plan)


def cut_points(spec: GeneratorSpec, options: ExportOptions) -> list[int]:
    """Every first row that a second latent can take over from with an effect: none where the bundle has a mask.

    A row that the graph holds as a constant is taken over by nobody, so no cut is at one, and one has to be before.
    """
    if not options.identity_mask:
        return []
    baked = {row for style in options.baked for row in style.rows}
    return [row for row in range(spec.num_ws) if row not in baked][1:]


def samples_for_all_cuts(spec: GeneratorSpec, options: ExportOptions) -> int:
    """How many samples it takes until every cut point was drawn."""
    return -(-len(cut_points(spec, options)) * MIX_TURN // (MIX_TURN - 1))


def spread(values: Sequence[int]) -> list[int]:
    """The middle first, then the middles of what is on either side of it, and so on: any beginning covers the range."""
    order: list[int] = []
    parts = [list(values)]
    for part in parts:  # which grows meanwhile
        if part:
            middle = len(part) // 2
            order.append(part[middle])
            parts += [part[:middle], part[middle + 1 :]]
    return order


def _draw(random: np.random.RandomState) -> tuple[float, tuple[float, float, float]]:
    """A psi, and a motion: any turn, and a move by up to half an image width."""
    psi, degrees = random.uniform(PSI_LOW, PSI_HIGH), random.uniform(-180, 180)
    x, y = random.uniform(-0.5, 0.5, size=2)
    return round(psi, DECIMALS), (round(degrees, DECIMALS), round(x, DECIMALS), round(y, DECIMALS))


def _cutoffs(spec: GeneratorSpec, options: ExportOptions) -> list[int]:
    """The checkpoint's own first. None where the bundle mixes in its graph, which takes sources truncated whole."""
    if not options.identity_mask:
        return []
    own = [] if spec.default_cutoff is None else [spec.default_cutoff]
    return own + [rows for rows in spread(range(1, spec.num_ws)) if rows not in own]


def _cutoff(cutoffs: Sequence[int], index: int) -> int | None:
    """None for `MIX_TURN` samples, then one for each of as many: unmixed samples and mixed ones have both."""
    turn, place = divmod(index, MIX_TURN)
    if not cutoffs or turn % 2 == 0:
        return None
    return cutoffs[(turn // 2 * MIX_TURN + place) % len(cutoffs)]


def _noise(spec: GeneratorSpec, options: ExportOptions, index: int, seed: int) -> Noise:
    """What the graph takes: its own alone, where it holds some or none."""
    if not spec.noise_inputs:
        return NoiseMode.NONE.value
    if options.noise is not NoiseMode.EXPLICIT:
        return options.noise.value
    kind = NOISE_TURN[index % len(NOISE_TURN)]
    return seed if kind == "seed" else kind
