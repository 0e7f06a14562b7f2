"""Which known mistake makes a layer put out what was measured: each is made in the reference, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from exporter.networks import ReferenceNetwork
from runtime.layers.difference import Difference
from runtime.layers.evidence import EXPLAINED, ranked, suspects_in, unexplained
from runtime.layers.reports import Cause, Suspect
from runtime.spec import noise_name

STRENGTHS = (-1.0, 0.5, 2.0)
"""Factors of a noise strength that are tried."""
FILTERS = ("kernel", "up_filter", "down_filter")
"""Buffers of the references that hold FIR filters."""


@dataclass(frozen=True)
class Call:
    """How a layer was called in the reference: the module and its arguments."""

    module: nn.Module
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """Something that may have gone wrong in a layer, and what the layer would put out: [N, C, size, size]."""

    cause: Cause
    told: str
    output: Callable[[], Tensor]


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
    for mistake in _mistakes(network, drawn, difference.output.name):
        guess = mistake.output().detach().numpy().reshape(difference.reference.shape)
        left = unexplained(difference.reference, difference.measured, guess)
        if left <= EXPLAINED:
            told = f"{mistake.told}, the reference puts out what was measured, but for {left:.1e} of the squared error"
            yield Suspect(mistake.cause, told, left)


def _mistakes(network: ReferenceNetwork, drawn: Drawn, name: str) -> Iterator[Mistake]:
    call = _record(network, drawn, name)
    if call is None:
        return
    layer = next((item for item in network.spec.layers if item.name == name), None)
    if layer is not None and layer.style is not None:
        yield from _other_rows(call, drawn.ws, layer.style)
    if layer is not None and layer.noise is not None:
        yield from _other_noise(call, drawn.noise, layer.noise)
    yield from _other_weights(call)
    yield from _other_images(call)
    if name == "input":
        still = torch.eye(3).expand(len(drawn.ws), 3, 3)
        yield Mistake(Cause.TRANSFORM, "without the transform", _again(call, {1: still}))


@torch.no_grad()
def _record(network: ReferenceNetwork, drawn: Drawn, name: str) -> Call | None:
    """How the reference calls a layer; None for what is no module of its own, as a sum."""
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


def _again(call: Call, changed: dict[int, Any]) -> Callable[[], Tensor]:
    """The layer with other arguments."""

    @torch.no_grad()
    def output() -> Tensor:
        result: Tensor = call.module(*(changed.get(index, item) for index, item in enumerate(call.arguments)))
        return result

    return output


def _with(call: Call, name: str, value: Any) -> Callable[[], Tensor]:
    """The layer with another weight, filter or setting."""

    def output() -> Tensor:
        with _replaced(call.module, name, value):
            return _again(call, {})()

    return output


@contextmanager
def _replaced(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    kept = getattr(module, name)
    setattr(module, name, nn.Parameter(value) if isinstance(kept, nn.Parameter) else value)
    try:
        yield
    finally:
        setattr(module, name, kept)


def _other_rows(call: Call, ws: Tensor, own: int) -> Iterator[Mistake]:
    at = 0 if len(call.arguments) < 2 or call.arguments[0].ndim == 2 else 1
    for row in range(ws.shape[1]):
        if row != own and not torch.equal(ws[:, row], ws[:, own]):
            told = f"with row {row} of ws in place of row {own}"
            yield Mistake(Cause.STYLE_ORDER, told, _again(call, {at: ws[:, row]}))


def _other_noise(call: Call, noise: list[Tensor], own: int) -> Iterator[Mistake]:
    given = noise[own]
    yield Mistake(Cause.NOISE_LEFT_OUT, f"without {noise_name(own)}", _again(call, {2: None}))
    for index, other in enumerate(noise):
        if index != own and other.shape[2:] == given.shape[2:]:
            told = f"with {noise_name(index)} in place of {noise_name(own)}"
            yield Mistake(Cause.NOISE_ORDER, told, _again(call, {2: other}))
    if len(given) > 1:
        told = f"with {noise_name(own)} of another image of the batch"
        yield Mistake(Cause.NOISE_ORDER, told, _again(call, {2: given.roll(1, dims=0)}))
    turned = given.transpose(2, 3)
    yield Mistake(Cause.NOISE_ORDER, f"with {noise_name(own)} transposed", _again(call, {2: turned}))
    for strength in STRENGTHS:
        told = f"with {strength:g} times the strength of {noise_name(own)}"
        yield Mistake(Cause.NOISE_STRENGTH, told, _again(call, {2: given * strength}))


def _other_weights(call: Call) -> Iterator[Mistake]:
    module = call.module
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim == 4 and weight.shape[-1] > 1:
        transposed, mirrored = weight.transpose(2, 3), weight.flip(2, 3)
        yield Mistake(Cause.KERNEL, "with its kernel transposed", _with(call, "weight", transposed))
        yield Mistake(Cause.KERNEL, "with its kernel mirrored", _with(call, "weight", mirrored))
    for name in FILTERS:
        taps = getattr(module, name, None)
        if isinstance(taps, Tensor) and taps.ndim:
            axes = tuple(range(taps.ndim))
            yield Mistake(Cause.FILTER, "with its filter mirrored", _with(call, name, taps.flip(axes)))
            for step in (1, -1):
                shifted = taps.roll([step] * taps.ndim, dims=axes)
                yield Mistake(Cause.FILTER, f"with its filter shifted by {step:+d}", _with(call, name, shifted))
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        yield Mistake(Cause.BIAS, "without its bias", _with(call, "bias", torch.zeros_like(bias)))
    if getattr(module, "demodulate", False):
        yield Mistake(Cause.DEMODULATION, "without demodulation", _with(call, "demodulate", False))
    if getattr(module, "clamp", None) is not None:
        yield Mistake(Cause.CLAMP, "without its clamp", _with(call, "clamp", None))


def _other_images(call: Call) -> Iterator[Mistake]:
    """What the layer takes, or its style, from another image of the batch."""
    for index, item in enumerate(call.arguments[:2]):
        if isinstance(item, Tensor) and len(item) > 1:
            what = "what it takes" if item.ndim == 4 else "the style"
            told = f"with {what} of another image of the batch"
            yield Mistake(Cause.BATCH_ORDER, told, _again(call, {index: item.roll(1, dims=0)}))
