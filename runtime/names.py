"""Names that people give: of models and directions. They stand in addresses, files and logs."""

from __future__ import annotations

import re

NAME_RULE = "letters, digits, '_', '-' and '.', 64 at most"
"""What such a name is made of; its first character is a letter or a digit."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def is_name(text: str) -> bool:
    """Whether it is such a name."""
    return _NAME.fullmatch(text) is not None
