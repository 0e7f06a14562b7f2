"""Specifications as documents, one field of which is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from runtime.errors import BundleError
from runtime.spec import GeneratorSpec


def assert_field_refused(spec: GeneratorSpec, path: Sequence[Any], value: Any, message: str) -> None:
    """A sound specification's document is refused, with the pattern `message`, once `value` stands at `path`."""
    data = spec.to_json()
    inner: Any = data
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(BundleError, match=message):
        GeneratorSpec.from_json(data)
