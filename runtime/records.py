"""Frozen dataclasses to JSON and back, with every field's type checked: manifests and metadata are untrusted input."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from runtime.errors import BundleError, quoted

Record = TypeVar("Record")


@dataclass(frozen=True)
class ChosenBy:
    """Annotation of a field whose record class the value of an earlier field, `field`, chooses."""

    field: str
    classes: Mapping[Any, type]


def to_plain(value: Any) -> Any:
    """Turn a record (and what it holds) into dictionaries, lists and scalars that `json` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def digest_of(content: Any) -> str:
    """sha256 of plain data, as compact JSON with sorted keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def from_plain(cls: type[Record], data: Any, where: str) -> Record:
    """Build the frozen dataclass `cls` from plain data; `where` names the place in error messages.

    Raises BundleError for an unknown, missing or wrongly typed field.
    """
    if not isinstance(data, dict):
        raise BundleError(f"{where}: found {_kind(data)}, expected an object with the fields of {cls.__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise BundleError(f"{where}: unknown field {quoted(unknown[0])}; expected only {', '.join(fields)}")
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(cls, include_extras=True)
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(_chosen(hints[name], values), data[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BundleError(f"{where}: the field {name!r} is missing")
    return cls(**values)


def _chosen(hint: Any, values: Mapping[str, Any]) -> Any:
    """The type of a field, which may depend on a field read before it."""
    choice = next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, ChosenBy)), None)
    return hint if choice is None else choice.classes[values[choice.field]]


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, where)
    if origin is tuple:
        _require(isinstance(value, list), value, "a list", where)
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, entry, f"{where}[{index}]") for index, entry in enumerate(value))
    if origin is dict:
        _require(isinstance(value, dict), value, "an object", where)
        item = typing.get_args(hint)[1]
        return {str(key): _convert(item, entry, f"{where}.{key}") for key, entry in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    """`X | None`, or of plain types, as `str | int`, the one that the value has."""
    kinds = typing.get_args(hint)
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1:
        return _convert(others[0], value, where)
    _require(type(value) in others, value, " or ".join(kind.__name__ for kind in others), where)
    return value


def _convert_enum(hint: type[Enum], value: Any, where: str) -> Enum:
    try:
        return hint(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in hint)
        raise BundleError(f"{where}: found {quoted(value)}, expected one of {known}") from None


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise BundleError(f"{where}: found a huge number, expected float") from None
    right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    _require(right, value, hint.__name__, where)
    return value


def _require(condition: bool, value: Any, expected: str, where: str) -> None:
    if not condition:
        raise BundleError(f"{where}: found {_kind(value)}, expected {expected}")


def _kind(value: Any) -> str:
    if not isinstance(value, (str, int, float, type(None))):
        return type(value).__name__
    text = quoted(value)
    return text if text.startswith("a ") else f"{type(value).__name__} {text}"
