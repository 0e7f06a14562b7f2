"""Records as JSON documents, with what follows from them, and the schema of such a document.

Both are made of the same dataclasses and the same table, so that neither can say what the other does not.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

Derived = Mapping[type, tuple[str, ...]]
"""By record class, its properties and methods without arguments whose values its documents hold too."""


def to_document(value: Any, derived: Derived) -> Any:
    """A record as plain data: what is derived of it first, then its fields.

    JSON has no NaN and no infinity: both become the largest float, with infinity's sign.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [*derived.get(type(value), ()), *(field.name for field in dataclasses.fields(value))]
        return {name: to_document(_read(value, name), derived) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_document(item, derived) for item in value]
    if isinstance(value, dict):
        return {str(key): to_document(item, derived) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return -sys.float_info.max if value < 0 else sys.float_info.max
    return value


def schema_of(cls: type, derived: Derived, identifier: str) -> dict[str, Any]:
    """The JSON Schema of what `to_document` makes of a record of `cls`: every field is there, and no other."""
    definitions: dict[str, Any] = {}
    root = _type(cls, derived, definitions)
    return {"$schema": DRAFT, "$id": identifier, **root, "$defs": dict(sorted(definitions.items()))}


def _read(record: Any, name: str) -> Any:
    value = getattr(record, name)
    return value() if callable(value) else value


def _record(cls: type, derived: Derived, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    properties = {}
    for name in derived.get(cls, ()):
        member = inspect.getattr_static(cls, name)
        function = member.fget if isinstance(member, property) else member
        told = _type(typing.get_type_hints(function)["return"], derived, definitions)
        properties[name] = {**told, "description": _described(function)}
    for field in dataclasses.fields(cls):
        properties[field.name] = _type(hints[field.name], derived, definitions)
    return {
        "description": _described(cls),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _described(item: Any) -> str:
    """The docstring in one line, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join((inspect.getdoc(item) or "").split()))


def _type(hint: Any, derived: Derived, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in SCALARS:
        return {"type": SCALARS[hint]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _union([_type(item, derived, definitions) for item in arguments])
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1], derived, definitions)}
    if origin is list or (origin is tuple and arguments[1:] == (Ellipsis,)):
        return {"type": "array", "items": _type(arguments[0], derived, definitions)}
    if origin is tuple:
        items = [_type(item, derived, definitions) for item in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"description": _described(hint), "enum": [member.value for member in hint]}
    if not dataclasses.is_dataclass(hint):
        raise TypeError(f"{hint} has no JSON type")
    name = typing.cast(type, hint).__name__
    if name not in definitions:
        definitions[name] = {}  # its own fields may be of its class
        definitions[name] = _record(typing.cast(type, hint), derived, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _union(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    if all(kind.keys() == {"type"} for kind in kinds):
        return {"type": [kind["type"] for kind in kinds]}
    return {"anyOf": kinds}
