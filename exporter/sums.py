"""What may have gone wrong where two parts are added: a block's convolutions and its shortcut, or RGB of two sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from exporter.mistakes import Call, Mistake, again, replaced, shifted
from exporter.networks.marks import collecting
from runtime.layers.reports import Cause

SUMS = {"image": "torgb", "sum": "conv1"}
"""Last part of a sum's name, and of the name of the layer that is one of its parts."""
FILTER = "kernel"
"""What a block up-samples its other part with."""


def mistakes_in_sum(call: Call, name: str, measured: np.ndarray) -> Iterator[Mistake]:
    """Mistakes of the sum `name` of a block that was so called; `measured` [N, C, P] is what a graph puts out."""
    block, _, last = name.partition(".")
    own = f"{block}.{SUMS[last]}"
    marked = _marked(call, {name, own})
    if marked.keys() != {name, own}:
        return
    layer, other = marked[own], marked[name] - marked[own]
    part = "the image below" if last == "image" else "the shortcut"
    weights = _fitted(layer, other, torch.from_numpy(measured).reshape(layer.shape))
    told = f"as {weights[0]:.4g} times {own} and {weights[1]:.4g} times {part}"
    yield Mistake(Cause.SUMMAND, told, lambda: weights[0] * layer + weights[1] * other)
    taps = getattr(call.module, FILTER)
    filters = {
        "mirrored": taps.flip(0, 1),
        "transposed": taps.T,
        "shifted by +1": shifted(taps, 1),
        "shifted by -1": shifted(taps, -1),
    }
    for what, changed in filters.items():
        yield Mistake(Cause.FILTER, f"with the filter of {part} {what}", _with_filter(call, name, changed))


def _fitted(one: Tensor, other: Tensor, measured: Tensor) -> tuple[float, float]:
    """How much of each part is nearest to what was measured."""
    parts = torch.stack([one.flatten(), other.flatten()], dim=1).double()
    first, second = torch.linalg.lstsq(parts, measured.flatten().double()).solution.tolist()
    return first, second


def _with_filter(call: Call, name: str, taps: Tensor) -> Callable[[], Tensor]:
    def output() -> Tensor:
        with replaced(call.module, FILTER, taps):
            return _marked(call, {name})[name]

    return output


def _marked(call: Call, names: set[str]) -> dict[str, Tensor]:
    """What a block marks when it is called again."""
    with collecting(names) as marked:
        again(call, {})()
    return dict(marked)
