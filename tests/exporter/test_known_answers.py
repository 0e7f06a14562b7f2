"""The reference networks against the official code's own outputs."""

from __future__ import annotations

import pytest
import torch

from exporter.networks.fir import filter_kernel, upsample
from tests.known_answers import Case, available_cases, compare

CASES = available_cases()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_known_array_is_met(case: Case, dtype: torch.dtype) -> None:
    results = list(compare(case, dtype))
    missed = [f"{item.array}: {item.error:.1e}, limit {item.limit:.1e}" for item in results if not item.passed]
    assert not missed
    assert {"w", "image_psi1"} <= {item.array for item in results}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_output_of_the_file_is_compared(case: Case) -> None:
    """A known answer that nothing is compared with would prove nothing."""
    inputs = {"z", "c", "truncation_latent", "mean_style", "transform_a", "transform_b"}
    outputs = {name for name in case.arrays if name not in inputs and not name.startswith(("noise_", "noise2_"))}
    compared = {item.array for item in compare(case, torch.float32)}
    compared |= {f"{item.array}_f64" for item in compare(case, torch.float64)}
    assert outputs == compared


def test_upsampling_of_any_filter_is_zero_insertion_and_convolution() -> None:
    """Spelt out by its definition, for filters with an odd and an even number of taps, not symmetric."""
    for taps in ((0.25, 0.5, 0.25), (0.1, 0.2, 0.3, 0.4), (0.05, 0.15, 0.3, 0.3, 0.2)):
        x = torch.randn(1, 1, 5, 5, dtype=torch.float64)
        before, count = (len(taps) + 1) // 2, len(taps)
        spread = torch.zeros(10, 10, dtype=torch.float64)
        spread[::2, ::2] = x[0, 0]
        expected = torch.zeros(10, 10, dtype=torch.float64)
        for y in range(10):
            for x_ in range(10):
                for i in range(count):
                    for j in range(count):
                        row, column = y + i - before, x_ + j - before
                        if 0 <= row < 10 and 0 <= column < 10:
                            weight = taps[count - 1 - i] * taps[count - 1 - j] * 4
                            expected[y, x_] += spread[row, column] * weight
        assert torch.allclose(upsample(x, filter_kernel(taps))[0, 0], expected, atol=1e-12)
