"""Which golden images are drawn: as many as prove something, and no more than export has time for."""

from __future__ import annotations

import pytest

from benchmarks.official_sizes import Network, official_spec
from exporter.golden import CASES, MAX_IMAGES, choose_cases
from runtime.manifest import NoiseMode
from tests.tiny import tiny_spec


@pytest.mark.parametrize(
    ("network", "resolution", "compared", "stored"),
    [
        (Network.STYLEGAN2, 64, 33, 8),
        (Network.STYLEGAN2, 256, 8, 8),
        (Network.STYLEGAN2, 1024, 1, 1),
        (Network.STYLEGAN3_T, 256, 2, 2),
        (Network.STYLEGAN3_R, 512, 1, 1),
    ],
)
def test_costly_networks_draw_fewer(network: Network, resolution: int, compared: int, stored: int) -> None:
    cases, kept = choose_cases(official_spec(network, resolution), NoiseMode.EXPLICIT)
    assert (len(cases), kept) == (compared, stored)


def test_small_networks_draw_every_case_many_times() -> None:
    cases, kept = choose_cases(tiny_spec(), NoiseMode.EXPLICIT)
    assert (len(cases), kept) == (MAX_IMAGES, len(CASES))
    assert cases[: len(CASES)] == list(CASES)


@pytest.mark.parametrize(("mode", "noise"), [(NoiseMode.CONST, "const"), (NoiseMode.NONE, "none")])
def test_baked_noise_is_the_only_noise(mode: NoiseMode, noise: str) -> None:
    cases, _ = choose_cases(tiny_spec(), mode)
    assert {case.noise for case in cases} == {noise}
