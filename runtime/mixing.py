"""Mixing masks: [num_ws, K] matrices, rows summing to 1, that build `ws` out of K source styles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.errors import InputError

ROW_SUM_TOLERANCE = 1e-6
"""How far from 1 a mask's row may sum: float32 rounding of a blend of a few sources."""
MAX_SOURCES = 64
"""Sources of one mask; a network has at most 26 style rows, so more than that never all count."""

SYNTAX = "expected terms like 'A:0-6,B:7-13' or blends like 'A*0.3+B*0.7:4-9', covering every row once"

_TERM = re.compile(r"^(?P<blend>[^:]+):(?P<first>\d{1,6})(?:-(?P<last>\d{1,6}))?$")
_SOURCE = re.compile(r"^(?:(?P<before>[0-9.eE-]+)\*)?(?P<name>[A-Za-z_]\w*)(?:\*(?P<after>[0-9.eE-]+))?$")


@dataclass(frozen=True)
class Mask:
    """A mixing mask and the names of its sources, one a column."""

    matrix: np.ndarray
    sources: tuple[str, ...]

    @property
    def is_identity(self) -> bool:
        """Whether `styles` is simply `ws`."""
        rows, columns = self.matrix.shape
        return rows == columns and bool((self.matrix == np.eye(rows)).all())

    def rows(self, styles: np.ndarray) -> np.ndarray:
        """`styles` float32 [..., K, w_dim] -> `ws` float32 [..., num_ws, w_dim]; `styles` itself for the identity.

        Summed in float64, so that rounding to float32 comes once, at the end.
        """
        if self.is_identity:
            return styles
        mixed: np.ndarray = (self.matrix @ styles.astype(np.float64)).astype(np.float32)
        return mixed


def identity_mask(num_ws: int) -> Mask:
    """Every row of `ws` is its own source."""
    return Mask(np.eye(num_ws), tuple(f"ws_{row}" for row in range(num_ws)))


def parse_mask(text: str, num_ws: int) -> Mask:
    """Read `A:0-6,B:7-13`; a term may blend: `A*0.3+B*0.7:4-9`. Raises InputError with the syntax expected."""
    if text.strip() == "identity":
        return identity_mask(num_ws)
    sources: list[str] = []
    rows: dict[int, dict[str, float]] = {}
    for term in text.split(","):
        match = _TERM.match(term.strip())
        if match is None:
            raise InputError(f"mixing mask term {term.strip()!r} is not understood; {SYNTAX}")
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if not first <= last < num_ws:
            raise InputError(f"mixing mask rows {first}-{last} are out of range, expected 0 to {num_ws - 1}")
        blend = _parse_blend(match["blend"])
        sources += [name for name in blend if name not in sources]
        for row in range(first, last + 1):
            if row in rows:
                raise InputError(f"mixing mask row {row} is given twice; {SYNTAX}")
            rows[row] = blend
    missing = sorted(set(range(num_ws)) - set(rows))
    if missing:
        raise InputError(f"mixing mask row {missing[0]} has no source; {SYNTAX}")
    matrix = [[rows[row].get(name, 0.0) for name in sources] for row in range(num_ws)]
    return Mask(check_mask(matrix, num_ws), tuple(sources))


def _parse_blend(text: str) -> dict[str, float]:
    blend: dict[str, float] = {}
    for part in text.split("+"):
        match = _SOURCE.match(part.strip())
        if match is None:
            raise InputError(f"mixing mask source {part.strip()!r} is not understood; {SYNTAX}")
        try:
            weight = float(match["before"] or match["after"] or 1)
        except ValueError:
            raise InputError(f"mixing mask weight in {part.strip()!r} is not a number; {SYNTAX}") from None
        blend[match["name"]] = blend.get(match["name"], 0.0) + weight
    return blend


def check_mask(matrix: Any, num_ws: int, sources: int | None = None) -> np.ndarray:
    """The mask as float64 [num_ws, K]. Raises InputError where its shape or a row's sum is wrong."""
    try:
        mask = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the mixing mask is not a matrix of numbers, expected [{num_ws}, K]") from None
    columns = mask.shape[1] if mask.ndim == 2 else 0
    if mask.ndim != 2 or mask.shape[0] != num_ws or not 1 <= columns <= MAX_SOURCES or sources not in (None, columns):
        raise InputError(f"the mixing mask has shape {list(mask.shape)}, expected [{num_ws}, {sources or 'K'}]")
    if not np.isfinite(mask).all():
        raise InputError("the mixing mask holds NaN or infinity, expected finite numbers")
    wrong = np.flatnonzero(np.abs(mask.sum(axis=1) - 1) > ROW_SUM_TOLERANCE)
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"mixing mask row {row} sums to {mask[row].sum():g}, expected 1; scale its weights")
    return mask


def layer_mask(num_ws: int, rows: Iterable[int]) -> np.ndarray:
    """Mask [num_ws, 2] that takes `rows` from the second source and the rest from the first."""
    mask = np.zeros((num_ws, 2))
    mask[:, 0] = 1
    for row in rows:
        if not 0 <= row < num_ws:
            raise InputError(f"style row {row} is out of range, expected 0 to {num_ws - 1}")
        mask[row] = 0, 1
    return mask
