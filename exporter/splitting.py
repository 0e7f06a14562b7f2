"""Where synthesis is cut in two: a head for the rows of `ws` that stay, a tail for those that move."""

from __future__ import annotations

from collections.abc import Collection

from runtime.errors import InputError
from runtime.noise import check_whole
from runtime.spec import GeneratorSpec


def check_split(spec: GeneratorSpec, split: int, baked: Collection[int] = ()) -> int:
    """How many layers come before the first that takes a row of `ws` from `split` on.

    `baked` are rows that the graphs hold as constants. Raises InputError where a side would be left without a layer
    or without a row that varies, or where a row of the head is baked.
    """
    styles = {layer.style for layer in spec.layers if layer.style is not None}
    if not 0 < check_whole("split", split) <= max(styles):
        raise InputError(f"split is {split}, expected 1 to {max(styles)}, so that layers are left on both sides")
    early = min((row for row in baked if row < split), default=None)
    if early is not None:
        raise InputError(f"row {early} is baked and before the split at {split}: bake later rows, or leave out a split")
    if {row for row in styles if row >= split} <= set(baked):
        raise InputError(f"all rows from the split at {split} on are baked, so that nothing after it would move")
    return next(index for index, layer in enumerate(spec.layers) if layer.style is not None and layer.style >= split)
