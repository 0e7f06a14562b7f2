"""Pictures drawn together, each as it would be alone."""

from __future__ import annotations

import numpy as np
import pytest

from runtime import Generator
from runtime.errors import InputError
from runtime.server.drawing import BOTH, Picture, Source, check_picture, draw_pictures
from tests.conftest import export
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def one_source(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """A generator whose graph takes one style for all rows."""
    bundle = export(tiny_checkpoint(), tmp_path_factory.mktemp("one") / "bundle", mask="A:0-5")
    return Generator.load(bundle, threads=1)


def test_a_mask_of_one_source(one_source: Generator) -> None:
    (z,) = one_source.latents([1])
    rows = np.full(6, 0.5, np.float32)
    pictures = [Picture((Source(z),)), Picture((Source(z),), psi=0.5), Picture((Source(z),), psi=rows)]
    for picture in pictures:
        check_picture(one_source, picture)
    alone, half, half_by_rows = draw_pictures(one_source, pictures)
    np.testing.assert_array_equal(alone, one_source.generate([1])[0])
    np.testing.assert_array_equal(half, one_source.generate([1], psi=0.5)[0])
    np.testing.assert_array_equal(half_by_rows, half)
    rows[2] = 1
    with pytest.raises(InputError, match="psi differs between rows 0 and 2, which share source 0 of the mask"):
        check_picture(one_source, Picture((Source(z),), psi=rows))


def test_a_number_and_factors_in_one_batch(tiny: Generator) -> None:
    (z,) = tiny.latents([1])
    rows = np.array([0.5, 0.5, 0.5, 1, 1, 1], np.float32)
    numbers, factors = draw_pictures(
        tiny, [Picture((Source(z),), psi=0.5, cutoff=3), Picture((Source(z),), psi=rows, cutoff=1)]
    )
    np.testing.assert_array_equal(numbers, factors)


def test_pixels_and_image_of_one_drawing(tiny: Generator) -> None:
    pictures = [Picture((Source(z),)) for z in tiny.latents([1, 2])]
    styles = tiny.styles(tiny.map(tiny.latents([1, 2])))
    both = draw_pictures(tiny, pictures, BOTH)
    for found, expected in zip(zip(*both), (tiny.synthesize(styles, output="pixels"), tiny.synthesize(styles))):
        np.testing.assert_array_equal(np.stack(found), expected)


@pytest.mark.parametrize(
    ("psi", "message"),
    [
        (np.ones(5, np.float32), r"psi has shape \[5\], expected \[6\]"),
        (np.full(6, np.nan, np.float32), "psi holds NaN or infinity"),
        (np.full(6, 101, np.float32), "psi is 101, expected a finite number from -100 to 100"),
    ],
)
def test_wrong_factors(tiny: Generator, psi: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_picture(tiny, Picture((Source(tiny.latents([1])[0]),), psi=psi))
