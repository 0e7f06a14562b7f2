"""The first layer that differs, looked for with few layers read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.layers.compare import LayerFigures
from runtime.spec import LayerOutput

RGB, IMAGE = "torgb", "image"
"""Last parts of names: what a layer makes of features, and what all of these so far are summed up to."""

Read = Callable[[Sequence[LayerOutput]], list[LayerFigures]]


def bisect(layers: Sequence[LayerOutput], read: Read) -> list[LayerFigures]:
    """Figures of the layers that were looked at, in order: among them the first out of tolerance.

    An error stays in all features after it, and in all sums of RGB after it, but features know nothing of RGB. So the
    first wrong features are looked for, then wrong sums before these, then the layer that was added to such a sum.
    """
    search = _Search(layers, read)
    last = len(layers) - 1
    if search.passes(last):
        return search.figures()
    first = search.first([*(index for index in range(last) if _kind(layers[index]) not in (RGB, IMAGE)), last])
    summed = [index for index in _sums(layers) if index < first]
    if summed and not search.passes(summed[-1]):
        first = search.first(summed)
    if _kind(layers[first]) == IMAGE and first > 0 and _kind(layers[first - 1]) == RGB:
        search.passes(first - 1)
    return search.figures()


class _Search:
    """Layers read one by one, each once."""

    def __init__(self, layers: Sequence[LayerOutput], read: Read) -> None:
        self._layers, self._read = layers, read
        self._found: dict[int, LayerFigures] = {}

    def passes(self, index: int) -> bool:
        """Whether a layer is within its tolerance."""
        if index not in self._found:
            self._found[index] = self._read([self._layers[index]])[0]
        return self._found[index].passed

    def first(self, chain: Sequence[int]) -> int:
        """The first of some layers that fails, where each that follows one that fails does too, and the last does."""
        good, bad = -1, len(chain) - 1
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self.passes(chain[middle]) else (good, middle)
        return chain[bad]

    def figures(self) -> list[LayerFigures]:
        """Of all layers read, in order."""
        return [self._found[index] for index in sorted(self._found)]


def _sums(layers: Sequence[LayerOutput]) -> list[int]:
    """The layers that hold all RGB up to them: the first of all, and the sums."""
    rgb = [index for index, item in enumerate(layers) if _kind(item) in (RGB, IMAGE)]
    return rgb[:1] + [index for index in rgb[1:] if _kind(layers[index]) == IMAGE]


def _kind(item: LayerOutput) -> str:
    return item.name.rpartition(".")[2]
