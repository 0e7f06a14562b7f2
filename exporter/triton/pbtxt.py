"""Protobuf's text format, as far as `config.pbtxt` needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

INDENT = "  "


@dataclass(frozen=True)
class Word:
    """An enumerator: written without quotes."""

    text: str


Scalar: TypeAlias = str | int | bool | Word
Message: TypeAlias = "tuple[Field, ...]"


@dataclass(frozen=True)
class Field:
    """A field with its value: a scalar, numbers (a repeated field in one line), or the fields of a message."""

    name: str
    value: Scalar | list[int] | Message


def field(name: str, *fields: Field) -> Field:
    """A field that holds a message."""
    return Field(name, fields)


def render(message: Message) -> str:
    """The text of a message, a field a line."""
    return "\n".join(_lines(message, "")) + "\n"


def _lines(message: Message, indent: str) -> Iterator[str]:
    for item in message:
        if isinstance(item.value, tuple):
            yield f"{indent}{item.name} {{"
            yield from _lines(item.value, indent + INDENT)
            yield f"{indent}}}"
        else:
            yield f"{indent}{item.name}: {_value(item.value)}"


def _value(value: Scalar | list[int]) -> str:
    if isinstance(value, Word):
        return value.text
    if isinstance(value, list):
        return f"[ {', '.join(map(str, value))} ]"
    return json.dumps(value)  # names are ASCII; true, false and numbers are JSON's
