"""SSIM: against the paper's formula written out, and what it must say of pictures that anybody can judge."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.parity.ssim import SIGMA, WINDOW, structural_similarity


def _pictures(height: int = 40, width: int = 37, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture, and the same with some noise."""
    random = np.random.RandomState(0)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([128 + 100 * np.sin((x + 2 * y * (k + 1)) / 9) for k in range(channels)], axis=-1)
    noisy = smooth + 12 * random.randn(*smooth.shape)
    return smooth.astype(np.uint8), noisy.clip(0, 255).astype(np.uint8)


def _literal(reference: np.ndarray, measured: np.ndarray, side: int = WINDOW) -> float:
    """Equations 13 to 17 of the paper, window by window."""
    offsets = np.arange(side) - side // 2
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    height, width, channels = reference.shape
    indices = []
    for channel in range(channels):
        for top in range(height - side + 1):
            for left in range(width - side + 1):
                part = (slice(top, top + side), slice(left, left + side), channel)
                x, y = reference[part].astype(float), measured[part].astype(float)
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                variance_x = (weights * (x - mean_x) ** 2).sum()
                variance_y = (weights * (y - mean_y) ** 2).sum()
                covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
                luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
                structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
                indices.append(luminance * structure)
    return float(np.mean(indices))


@pytest.mark.parametrize("size", [(40, 37, 3), (75, 24, 1), (11, 11, 4), (12, 90, 3)])
def test_it_is_the_papers_formula(size: tuple[int, int, int]) -> None:
    """More rows than a strip has, just as many as a window, grey, and with alpha."""
    reference, measured = _pictures(*size)
    assert structural_similarity(reference, measured) == pytest.approx(_literal(reference, measured), abs=1e-12)


@pytest.mark.parametrize(("side", "window"), [(10, 9), (8, 7), (4, 3), (1, 1)])
def test_a_small_picture_is_seen_through_a_smaller_window(side: int, window: int) -> None:
    reference, measured = _pictures(side, side)
    expected = _literal(reference, measured, window)
    assert structural_similarity(reference, measured) == pytest.approx(expected, abs=1e-12)


def test_the_same_picture_is_1_and_no_other() -> None:
    reference, measured = _pictures()
    assert structural_similarity(reference, reference) == pytest.approx(1, abs=1e-12)
    changed = reference.copy()
    changed[20, 20, 0] ^= 1
    assert 0.999 < structural_similarity(reference, changed) < 1 - 1e-9
    assert structural_similarity(reference, measured) < 0.95


def test_it_takes_no_side() -> None:
    reference, measured = _pictures()
    assert structural_similarity(reference, measured) == structural_similarity(measured, reference)


def test_an_inverted_picture_is_unlike_and_a_brighter_one_is_not() -> None:
    reference, _ = _pictures()
    assert structural_similarity(reference, 255 - reference) < -0.5
    assert structural_similarity(reference, reference + 20) > 0.9


def test_more_noise_is_less_alike() -> None:
    reference, _ = _pictures()
    noise = np.random.RandomState(1).randn(*reference.shape)
    found = [
        structural_similarity(reference, (reference + strength * noise).clip(0, 255).astype(np.uint8))
        for strength in (0, 1, 4, 16, 64)
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 5


def test_floats_and_other_shapes_are_a_mistake() -> None:
    reference, _ = _pictures()
    for other in (reference.astype(np.float32), reference[:-1]):
        with pytest.raises(ValueError, match="can't be compared"):
            structural_similarity(reference, other)
