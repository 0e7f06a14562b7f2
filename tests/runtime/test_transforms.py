"""StyleGAN3's transform: which way it goes, for whom, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.transforms import MAX_TRANSLATION, check_transform, make_transform


@pytest.fixture(scope="module")
def generator(stylegan3_bundle: Bundle) -> Generator:
    return Generator.load(stylegan3_bundle)


def _ws(generator: Generator, seeds: range) -> np.ndarray:
    labels = generator.labels(0, len(seeds)) if generator.spec.c_dim else None
    return generator.truncate(generator.map(generator.latents(seeds), labels))


def test_a_turn_is_counter_clockwise(generator: Generator) -> None:
    """By a quarter, configuration R turns the picture exactly: its filters look the same from all four sides."""
    ws = _ws(generator, range(3))
    still = generator.synthesize(ws, transform=make_transform())
    turned = generator.synthesize(ws, transform=make_transform(90))
    assert np.allclose(turned, np.rot90(still, 1, (2, 3)), atol=1e-5 * np.abs(still).max())


def test_it_moves_after_it_turns() -> None:
    """What is drawn at the centre's new place comes from the centre."""
    matrix = make_transform(30.0, (0.25, -0.125))
    assert np.allclose(matrix @ [0.25, -0.125, 1], [0, 0, 1], atol=1e-6)


def test_the_default_is_the_checkpoints_own(generator: Generator) -> None:
    ws = _ws(generator, range(2))
    assert generator.bundle.stored_transform is not None
    own = generator.synthesize(ws, transform=generator.bundle.stored_transform)
    assert (generator.synthesize(ws) == own).all()
    assert np.allclose(generator.bundle.stored_transform, make_transform(90))


def test_each_image_may_have_its_own(generator: Generator) -> None:
    ws = _ws(generator, range(3))
    transforms = np.stack([make_transform(20.0 * index, (0.1 * index, 0)) for index in range(3)])
    together = generator.synthesize(ws, transform=transforms, batch=2)
    alone = [generator.synthesize(ws[index : index + 1], transform=transforms[index]) for index in range(3)]
    assert np.allclose(together, np.concatenate(alone), atol=1e-5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.eye(2), "transform is of shape [2, 2], expected [3, 3] or [2 or 1, 3, 3]"),
        (np.zeros((3, 3, 3)), "transform is of shape [3, 3, 3]"),
        (np.zeros((0, 3, 3)), "transform is of shape [0, 3, 3]"),
        (np.full((3, 3), np.nan), "transform holds NaN or infinity"),
        (np.full((3, 3), 1e300), "transform holds NaN or infinity"),
        ("turn", "transform is not an array of numbers"),
        ([[1, 0], [0]], "transform is not an array of numbers"),
    ],
)
def test_a_wrong_transform_is_named(value: object, message: str, generator: Generator) -> None:
    with pytest.raises(InputError) as caught:
        check_transform(value, count=2)
    assert message in str(caught.value)
    with pytest.raises(InputError):
        generator.synthesize(_ws(generator, range(2)), transform=value)


@pytest.mark.parametrize("motion", [(float("nan"), (0, 0)), (0, (float("inf"), 0)), (0, (0, 2 * MAX_TRANSLATION))])
def test_a_motion_beyond_sense_is_named(motion: tuple[float, tuple[float, float]]) -> None:
    with pytest.raises(InputError, match="expected a finite number from"):
        make_transform(*motion)
