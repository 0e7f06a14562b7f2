"""Which known mistake makes a layer put out what was measured: each is made in the reference, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from exporter.mistakes import Call, Mistake, mistakes_in_layer
from exporter.networks import ReferenceNetwork
from exporter.sums import SUMS, mistakes_in_sum
from runtime.layers.difference import Difference
from runtime.layers.evidence import EXPLAINED, ranked, suspects_in, unexplained
from runtime.layers.reports import Suspect


@dataclass(frozen=True)
class Drawn:
    """What golden images are drawn with: `ws` [N, num_ws, w_dim], noise [N, 1, H, W] a noise input, and transform."""

    ws: Tensor
    noise: list[Tensor]
    transform: Tensor | None


def suspects_by_network(network: ReferenceNetwork, drawn: Drawn, difference: Difference) -> list[Suspect]:
    """Causes that explain a difference, the likeliest first: by recomputation, then by what the values say alone."""
    found = suspects_in(difference)
    if difference.own.finite and difference.output.size is not None:
        found += list(_recomputed(network, drawn, difference))
    return ranked(found)


def _recomputed(network: ReferenceNetwork, drawn: Drawn, difference: Difference) -> Iterator[Suspect]:
    for mistake in _mistakes(network, drawn, difference):
        guess = mistake.output().detach().numpy().reshape(difference.reference.shape)
        left = unexplained(difference.reference, difference.measured, guess)
        if left <= EXPLAINED:
            told = f"{mistake.told}, the reference puts out what was measured, but for {left:.1e} of the squared error"
            yield Suspect(mistake.cause, told, left)


def _mistakes(network: ReferenceNetwork, drawn: Drawn, difference: Difference) -> Iterator[Mistake]:
    name = difference.output.name
    block, _, last = name.partition(".")
    if last in SUMS:
        call = _record(network, drawn, block)
        if call is not None:
            yield from mistakes_in_sum(call, name, difference.measured)
        return
    call = _record(network, drawn, name)
    if call is not None:
        yield from mistakes_in_layer(network.spec, call, name, drawn.ws, drawn.noise, difference.measured)


@torch.no_grad()
def _record(network: ReferenceNetwork, drawn: Drawn, name: str) -> Call | None:
    """How the reference calls a module; None where there is none of that name."""
    modules = dict(network.synthesis.named_modules())
    if name not in modules:
        return None
    calls: list[Call] = []
    handle = modules[name].register_forward_pre_hook(lambda module, given: calls.append(Call(module, given)))
    try:
        network.synthesis(drawn.ws, drawn.noise, drawn.transform)
    finally:
        handle.remove()
    return calls[0] if calls else None
