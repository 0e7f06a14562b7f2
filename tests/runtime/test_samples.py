"""The plan of samples: what it covers, from how many samples on, and in what order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from benchmarks.official_sizes import Network, official_spec
from runtime.manifest import BakedStyle, ExportOptions, NoiseMode
from runtime.mixing import identity_mask, parse_mask
from runtime.parity.samples import (
    MIX_TURN,
    NOISE_TURN,
    PSI_HIGH,
    PSI_LOW,
    PSI_TURN,
    Sample,
    cut_points,
    plan_samples,
    samples_for_all_cuts,
    spread,
)
from runtime.spec import GeneratorSpec
from tests.tiny import tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

LARGE = official_spec(Network.STYLEGAN2, 1024)


def _options(spec: GeneratorSpec, noise: NoiseMode = NoiseMode.EXPLICIT, mask: str = "identity") -> ExportOptions:
    chosen = identity_mask(spec.num_ws) if mask == "identity" else parse_mask(mask, spec.num_ws)
    rows = tuple(tuple(float(value) for value in row) for row in chosen.matrix)
    return ExportOptions(noise, rows, chosen.sources, chosen.is_identity, ())


def _plan(spec: GeneratorSpec, samples: int, seed: int = 0) -> tuple[Sample, ...]:
    return plan_samples(spec, _options(spec), samples, seed)


@pytest.mark.parametrize("spec", [tiny_spec(), LARGE, tiny_stylegan3_spec(), tiny_stylegan1_spec()])
def test_all_cut_points_are_covered_from_a_known_number_on(spec: GeneratorSpec) -> None:
    enough = samples_for_all_cuts(spec, _options(spec))
    every = set(range(1, spec.num_ws))
    assert {sample.cut for sample in _plan(spec, enough) if sample.mixed} == every
    assert {sample.cut for sample in _plan(spec, enough - 1) if sample.mixed} < every


def test_how_many_that_are() -> None:
    """The default of 16 samples covers all up to 128 px."""
    found = {
        side: samples_for_all_cuts(spec, _options(spec))
        for side in (64, 128, 256, 512, 1024)
        for spec in [official_spec(Network.STYLEGAN2, side)]
    }
    assert found == {64: 12, 128: 15, 256: 18, 512: 20, 1024: 23}


def test_a_few_cuts_are_spread_over_all_rows() -> None:
    assert spread(range(1, 18)) == [9, 5, 14, 3, 7, 12, 16, 2, 4, 6, 8, 11, 13, 15, 17, 1, 10]
    assert spread([]) == []
    assert [sample.cut for sample in _plan(LARGE, 8)] == [None, 9, 5, 14, None, 3, 7, 12]


def test_the_most_telling_come_first() -> None:
    plan = _plan(tiny_spec(c_dim=3), 3)
    assert [sample.psi for sample in plan[:2]] == [PSI_LOW, PSI_HIGH]
    assert not plan[0].mixed
    assert plan[1].mixed
    assert [sample.noise for sample in plan] == [plan[0].seeds[0], "const", "none"]
    assert {sample.label for sample in plan} == {0, 1, 2}


def test_psi_stays_within_its_range_and_fills_it() -> None:
    found = np.array([sample.psi for sample in _plan(LARGE, 500)])
    assert (found.min(), found.max()) == (PSI_LOW, PSI_HIGH)
    assert len(np.histogram(found, bins=10)[0].nonzero()[0]) == 10
    assert 1.0 in found


def test_every_psi_comes_with_every_noise_mixed_and_unmixed() -> None:
    """After one round of all turns."""
    plan = _plan(LARGE, len(PSI_TURN) * len(NOISE_TURN) * MIX_TURN)
    found = {(sample.psi, isinstance(sample.noise, int), sample.noise == "none", sample.mixed) for sample in plan}
    for psi, (fresh, none), mixed in product(
        (-1.0, 1.5, 1.0), ((True, False), (False, True), (False, False)), (True, False)
    ):
        assert (psi, fresh, none, mixed) in found


def test_cutoffs_come_to_mixed_and_to_unmixed_samples() -> None:
    plan = _plan(LARGE, 8 * MIX_TURN)
    for mixed in (True, False):
        cutoffs = {sample.cutoff for sample in plan if sample.mixed == mixed}
        assert None in cutoffs
        assert len(cutoffs) > 2
    assert {sample.cutoff for sample in plan} <= {None, *range(1, LARGE.num_ws)}


def test_the_checkpoints_own_cutoff_is_the_first() -> None:
    spec = tiny_stylegan1_spec()
    assert spec.default_cutoff == 2
    assert next(sample.cutoff for sample in _plan(spec, 16) if sample.cutoff is not None) == 2


@pytest.mark.parametrize("c_dim", [1, 2, 4, 7, 60])
def test_every_label_comes_and_comes_mixed(c_dim: int) -> None:
    spec = tiny_spec(c_dim=c_dim)
    assert {sample.label for sample in _plan(spec, c_dim)} == set(range(c_dim))
    assert {sample.label for sample in _plan(spec, 4 * c_dim) if sample.mixed} == set(range(c_dim))
    assert all(sample.label is None for sample in _plan(tiny_spec(), 5))


def test_a_longer_plan_begins_with_the_shorter_and_another_seed_is_another() -> None:
    assert _plan(LARGE, 40)[:9] == _plan(LARGE, 9)
    assert not {sample.seeds for sample in _plan(LARGE, 40)} & {sample.seeds for sample in _plan(LARGE, 40, seed=1)}
    seeds = [seed for sample in _plan(LARGE, 40) for seed in sample.latent_seeds]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("mode", [NoiseMode.CONST, NoiseMode.NONE])
def test_noise_is_what_the_graph_holds(mode: NoiseMode) -> None:
    plan = plan_samples(LARGE, _options(LARGE, mode), 6, 0)
    assert {sample.noise for sample in plan} == {mode.value}
    assert {sample.noise for sample in _plan(tiny_spec(use_noise=False), 6)} == {"none"}


def test_transforms_come_where_they_are_taken_and_the_own_one_too() -> None:
    assert all(sample.transform is None for sample in _plan(LARGE, 8))
    motions = [sample.transform for sample in _plan(tiny_stylegan3_spec(), 14)]
    assert motions.count(None) == 2
    numbers = np.array([motion for motion in motions if motion is not None])
    assert (abs(numbers) <= (180, 0.5, 0.5)).all()
    assert abs(numbers[:, 0]).max() > 90


def test_a_mask_takes_a_latent_a_source_and_has_no_cuts() -> None:
    spec = tiny_spec()
    plan = plan_samples(spec, _options(spec, mask="A:0-1,B*0.5+C*0.5:2-5"), 6, 3)
    assert {len(sample.seeds) for sample in plan} == {3}
    assert not any(sample.mixed or sample.cutoff for sample in plan)
    assert len({seed for sample in plan for seed in sample.seeds}) == 18


@pytest.mark.parametrize(("rows", "cuts"), [((0, 1), [3, 4, 5]), ((2, 5), [1, 3, 4]), ((0, 1, 2, 3, 5), [])])
def test_no_cut_is_at_a_baked_row_or_before_the_first_that_is_free(rows: tuple[int, ...], cuts: list[int]) -> None:
    """Where one row alone is free, there is nothing to mix."""
    spec = tiny_spec()
    options = replace(_options(spec), baked=(BakedStyle(1, 1.0, None, rows),))
    assert cut_points(spec, options) == cuts
    plan = plan_samples(spec, options, samples_for_all_cuts(spec, options) + 1, 0)
    assert {sample.cut for sample in plan if sample.mixed} == set(cuts)


def test_psi_of_each_row() -> None:
    sample = replace(_plan(tiny_spec(), 1)[0], psi=0.5, cutoff=2)
    assert sample.psi_rows(4).tolist() == [0.5, 0.5, 1, 1]
    assert replace(sample, cutoff=None).psi_rows(4).tolist() == [0.5] * 4
    assert replace(sample, cutoff=0).psi_rows(2).tolist() == [1, 1]
