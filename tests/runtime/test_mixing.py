"""Mixing masks and number lists, as people type them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputError
from runtime.latents import parse_numbers
from runtime.mixing import identity_mask, parse_mask


def test_rows_go_to_their_sources() -> None:
    mask = parse_mask("A:0-1,B:2-3", 4)
    assert mask.sources == ("A", "B")
    assert mask.matrix.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_terms_may_blend() -> None:
    mask = parse_mask("A*0.25+B*0.75:0, B:1", 2)
    assert mask.matrix.tolist() == [[0.25, 0.75], [0, 1]]


def test_identity_is_every_row_for_itself() -> None:
    assert parse_mask("identity", 3).is_identity
    assert not parse_mask("A:0-2", 3).is_identity
    assert identity_mask(3).matrix.tolist() == np.eye(3).tolist()


def test_masks_build_the_rows_of_one_image_or_of_a_batch() -> None:
    styles = np.array([[[1, 2], [3, 6]], [[0, 4], [8, 8]]], np.float32)  # [N, K, w_dim]
    mask = parse_mask("A:0,B:1,A*0.25+B*0.75:2", 3)
    rows = mask.rows(styles)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[[1, 2], [3, 6], [2.5, 5]], [[0, 4], [8, 8], [6, 7]]]
    assert (mask.rows(styles[0]) == rows[0]).all()
    assert identity_mask(2).rows(styles) is styles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "term '' is not understood"),
        ("A", "term 'A' is not understood"),
        ("A:0-9", "rows 0-9 are out of range"),
        ("A:3-1,B:0-3", "rows 3-1 are out of range"),
        ("A:0-1", "row 2 has no source"),
        ("A:0-3,B:2", "row 2 is given twice"),
        ("A*0.5:0-3", "row 0 sums to 0.5, expected 1"),
        ("A*0.5+B*0.6:0-3", "row 0 sums to 1.1, expected 1"),
        ("A*1e999:0-3", "NaN or infinity"),
        ("A*..:0-3", "weight in 'A\\*..' is not a number"),
        ("2A:0-3", "source '2A' is not understood"),
        ("A:0-3;rm", "is not understood"),
    ],
)
def test_masks_that_make_no_sense_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_mask(text, 4)


@given(st.text(max_size=30))
def test_no_text_breaks_the_mask_parser(text: str) -> None:
    try:
        matrix = parse_mask(text, 4).matrix
    except InputError:
        return
    assert np.allclose(matrix.sum(axis=1), 1)


def test_number_lists() -> None:
    assert parse_numbers("0-3,42") == [0, 1, 2, 3, 42]
    assert parse_numbers(" 7 , 5 ") == [7, 5]


@pytest.mark.parametrize("text", ["3-1", "a", "", "1,,2", "-1", "1-", "1.5", "0-99999999999", "9" * 30])
def test_number_lists_that_make_no_sense_are_named(text: str) -> None:
    with pytest.raises(InputError, match="seed list"):
        parse_numbers(text)


@given(st.text(max_size=12))
def test_no_text_breaks_the_number_parser(text: str) -> None:
    with contextlib.suppress(InputError):
        assert all(number >= 0 for number in parse_numbers(text))
