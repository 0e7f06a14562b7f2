"""Names of what layers put out, so that a graph's values can be found by the layer that made them.

References and deployed forms mark the same tensors under the same names (`GeneratorSpec.outputs`) while they are run;
whoever wants them collects them. Nobody else pays anything, and a graph is the same: a mark gives a value its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

WRAPPED = "module."
"""What `Marked` puts before the names of a module's constants."""


Take = Callable[[str, Tensor], Any]


@dataclass(frozen=True)
class Collected:
    """Tensors by layer, or what `take` makes of them; those of other layers than `wanted` (None: all) are let go."""

    tensors: dict[str, Any]
    wanted: Collection[str] | None
    take: Take | None


_collected: ContextVar[Collected | None] = ContextVar("collected", default=None)


def mark(name: str, x: Tensor) -> Tensor:
    """`x`, remembered as what the layer `name` puts out, where somebody collects that."""
    collected = _collected.get()
    if collected is None or (collected.wanted is not None and name not in collected.wanted):
        return x
    if collected.take is not None:
        collected.tensors[name] = collected.take(name, x)
    elif not any(x is other for other in collected.tensors.values()):
        collected.tensors.setdefault(name, x)  # of several runs of a layer in one graph, the first has its name
    return x


@contextmanager
def collecting(wanted: Collection[str] | None = None, take: Take | None = None) -> Iterator[dict[str, Any]]:
    """What is marked meanwhile, of all layers or those `wanted`, by layer in the order of synthesis.

    `take` is given a layer's name and tensor, and what it returns is kept in the tensor's place, to save memory.
    """
    collected = Collected({}, wanted, take)
    token = _collected.set(collected)
    try:
        yield collected.tensors
    finally:
        _collected.reset(token)


class Marked(nn.Module):
    """A module with what it marks for further outputs; `names` holds their names once it has run."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self._keep = names.extend  # torch.export restores whatever it sees change on a module

    def forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        """The module's outputs, then what it marked. What is an output or an argument has a name already."""
        with collecting() as collected:
            outputs = self.module(*arguments)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        others = {name: x for name, x in collected.items() if not any(x is output for output in outputs)}
        self._keep(others)
        return (*outputs, *others.values())
