"""Arguments of a wrong kind, beyond those of a wrong value: each is named in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.errors import InputError

WS = np.zeros((1, 6, 9), np.float32)


@pytest.fixture(scope="module")
def generator(tiny_bundle: Bundle) -> Generator:
    return Generator.load(tiny_bundle)


def noise(generator: Generator, **changes: Any) -> list[Any]:
    """Sound noise arrays, but for the first."""
    arrays: list[Any] = [np.zeros((1, 1, *shape), np.float32) for shape in generator.spec.noise_shapes]
    arrays[0] = changes["first"]
    return arrays


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "z of another number of dimensions": (lambda g: g.map(np.zeros(7)), "z has shape [7], expected [N, 7]"),
    "z of infinity": (lambda g: g.map(np.full((1, 7), np.inf)), "z holds NaN or infinity"),
    "z beyond float32": (lambda g: g.map(np.full((1, 7), 1e300)), "z holds NaN or infinity"),
    "ragged z": (lambda g: g.map([[1, 2], [3]]), "z is not an array of numbers"),
    "complex z": (lambda g: g.map(np.zeros((1, 7), complex)), "z is not an array of numbers"),
    "NaN in ws": (lambda g: g.synthesize(np.full((1, 6, 9), np.nan)), "ws holds NaN or infinity"),
    "one row of ws": (lambda g: g.synthesize(np.zeros((1, 9))), "ws has shape [1, 9], expected [N, 6, 9]"),
    "NaN noise": (
        lambda g: g.synthesize(WS, noise=noise(g, first=np.full((1, 1, 4, 4), np.nan))),
        "noise array 0 holds NaN or infinity",
    ),
    "noise of text": (lambda g: g.synthesize(WS, noise=noise(g, first="loud")), "noise array 0"),
    "ragged noise": (lambda g: g.synthesize(WS, noise=noise(g, first=[[1], [2, 3]])), "noise array 0"),
    "noise for no image": (
        lambda g: g.synthesize(WS, noise=noise(g, first=np.zeros((0, 1, 4, 4)))),
        "noise array 0",
    ),
    "noise as one array": (
        lambda g: g.synthesize(WS, noise=np.zeros((5, 4, 4))),
        "expected 'const', 'none', an int seed",
    ),
    "too few noise arrays": (
        lambda g: g.synthesize(WS, noise=noise(g, first=0)[:3]),
        "3 noise arrays given, expected 5",
    ),
    "a truth value for noise": (lambda g: g.synthesize(WS, noise=True), "noise is True, expected 'const'"),
    "psi of None": (lambda g: g.generate([1], psi=None), "psi is None, expected a number"),
    "psi of NaN": (lambda g: g.generate([1], psi=float("nan")), "psi is nan, expected a finite number"),
    "a fractional cutoff": (lambda g: g.generate([1], cutoff=1.5), "cutoff is 1.5"),
    "a fractional seed": (lambda g: g.generate([1.5]), "seed is 1.5"),
    "a negative seed": (lambda g: g.generate([-1]), "seed -1 is out of range"),
    "a class of text": (lambda g: g.generate([1], classes="cat"), "unconditional"),
    "a mask of text": (lambda g: g.mix([WS], "A:0-5"), "the mixing mask is not a matrix of numbers"),
    "NaN in a mask": (lambda g: g.mix([WS], np.full((6, 1), np.nan)), "the mixing mask holds NaN or infinity"),
    "nothing to mix": (lambda g: g.mix([], np.ones((6, 1))), "the mixing mask has shape [6, 1], expected [6, "),
    "a fractional batch": (lambda g: g.generate([1], batch=1.5), "batch"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_argument_of_a_wrong_kind_is_named(case: str, generator: Generator) -> None:
    call, message = CASES[case]
    with pytest.raises(InputError) as caught:
        call(generator)
    assert message in str(caught.value)
    assert str(caught.value).isprintable(), f"not one line: {caught.value}"


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (None, "this generator is conditional: give a class, 0 to 2"),
        (np.zeros((1, 2)), "c has shape [1, 2], expected [1, 3]"),
        (np.zeros((2, 3)), "c has shape [2, 3], expected [1, 3]"),
        (np.full((1, 3), np.nan), "c holds NaN or infinity"),
        ("cat", "c is not an array of numbers"),
    ],
)
def test_a_wrong_label_is_named(c: Any, message: str, conditional_bundle: Bundle) -> None:
    with pytest.raises(InputError) as caught:
        Generator.load(conditional_bundle).map(np.zeros((1, 7)), c)
    assert message in str(caught.value)


@pytest.mark.parametrize("classes", [-1, 3, [0, 3]])
def test_a_class_out_of_range_is_named(classes: Any, conditional_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="class"):
        Generator.load(conditional_bundle).labels(classes)
