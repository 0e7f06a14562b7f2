"""Whatever a request says: pictures that can be drawn, or one line that says what is wrong. Never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime import Generator
from runtime.errors import MAX_MESSAGE, StyleganEdgeError
from runtime.server.bodies import check_depth
from runtime.server.drawing import check_picture
from runtime.server.encoding import choose_form
from runtime.server.errors import status_of
from runtime.server.limits import Limits
from runtime.server.parameters import GenerateParameters, MixParameters, StreamParameters, read_parameters
from runtime.server.planning import plan_generate, plan_mix

FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
LIMITS = Limits()

numbers = st.one_of(st.integers(), st.floats(), st.integers(-3, 9), st.sampled_from([2**32 - 1, 2**32, 2**63, 1e308]))
words = st.sampled_from(
    ["", "own", "const", "none", "0-3", "3-0", "coarse", "0-99999999", "1,,2", "raw", "png", "\0", "é" * 500]
)
scalars = st.one_of(st.none(), st.booleans(), numbers, words)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=12), max_leaves=24)
terms = st.dictionaries(st.sampled_from(["seed", "z", "w", "class", "layers", "weight", "direction", "amount"]), values)
fields = st.sampled_from([*GenerateParameters.model_fields, "class", "rows", "cols", "layers", "id", "other"])
documents = st.dictionaries(fields, st.one_of(values, terms, st.lists(terms, max_size=3)), max_size=8)
likely = st.fixed_dictionaries(
    {"seed": st.integers(0, 9)},
    optional={"psi": numbers, "cutoff": scalars, "noise": scalars, "mix": terms, "edit": terms, "rotate": numbers},
)


def is_one_line(error: StyleganEdgeError) -> None:
    assert 400 <= status_of(error) < 500, repr(error)
    assert str(error).isprintable()
    assert 10 < len(str(error)) <= MAX_MESSAGE + 3


@FEW
@given(st.one_of(documents, likely))
def test_any_document(tiny: Generator, document: dict[str, Any]) -> None:
    for kind in (GenerateParameters, StreamParameters, MixParameters):
        try:
            asked = read_parameters(kind, json.dumps(document).encode())
            pictures = plan_mix(tiny, asked, LIMITS)[0] if kind is MixParameters else plan_generate(tiny, asked, LIMITS)
        except StyleganEdgeError as error:
            is_one_line(error)
            continue
        for picture in pictures:
            check_picture(tiny, picture)


@FEW
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='[]{}":,\\ x0', max_size=60).map(str.encode)))
def test_any_bytes(body: bytes) -> None:
    try:
        check_depth(body, LIMITS)
        read_parameters(GenerateParameters, body)
    except StyleganEdgeError as error:
        is_one_line(error)


@FEW
@given(st.text(max_size=60), st.integers(1, 3), st.sampled_from([None, "png", "jpeg", "webp", "raw"]))
def test_any_accept_header(accept: str, count: int, wanted: str | None) -> None:
    try:
        form = choose_form(accept, count, wanted)
    except StyleganEdgeError as error:
        is_one_line(error)
    else:
        assert wanted in (None, form.format) or form.container is not None


@pytest.mark.parametrize("text", ['"[[[["', '"\\"[[[["', "[" * 32 + "]" * 32, '{"a": "]]]]"}'])
def test_brackets_in_text_nest_nothing(text: str) -> None:
    check_depth(text.encode(), LIMITS)


@pytest.mark.parametrize("field", ["seeds", "z", "w", "class", "mix"])
def test_one_wrong_item_is_enough(field: str) -> None:
    """A body has room for millions: told each, they would take gigabytes."""
    with pytest.raises(ValidationError) as caught:
        GenerateParameters.model_validate_json(json.dumps({field: [None] * 1000}))
    assert caught.value.error_count() < 10  # one for each form that the field may have
