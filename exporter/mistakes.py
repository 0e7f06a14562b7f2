"""What may have gone wrong in a layer, as the reference makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.layers.reports import Cause
from runtime.spec import GeneratorSpec, noise_name

STRENGTHS = (-1.0, 0.5, 2.0)
"""Factors of a noise strength that are tried, beside the one that fits best near 1."""
NO_STRENGTH = 1e-2
"""A fitted factor as small as this is noise that was left out."""
STEP = 1e-3
"""By how much a strength is changed to see what it does."""
FITS = 3
"""How often a strength is fitted: what a layer puts out bends with it."""
FILTERS = ("kernel", "up_filter", "down_filter")
"""Buffers of the references that hold FIR filters."""
FREE_FILTER = "kernel"
"""One that may grow by a tap on both sides; the others' padding is the specification's."""


@dataclass(frozen=True)
class Call:
    """How a module was called in the reference, with which arguments."""

    module: nn.Module
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """Something that may have gone wrong in a layer, and what the layer would put out: [N, C, size, size]."""

    cause: Cause
    told: str
    output: Callable[[], Tensor]


def mistakes_in_layer(
    spec: GeneratorSpec, call: Call, name: str, ws: Tensor, noise: list[Tensor], measured: np.ndarray
) -> Iterator[Mistake]:
    """Mistakes of a layer that was so called. `ws` [N, num_ws, w_dim], noise [N, 1, H, W] a noise input."""
    layer = next((item for item in spec.layers if item.name == name), None)
    if layer is not None and layer.style is not None:
        yield from _other_rows(call, ws, layer.style)
    if layer is not None and layer.noise is not None:
        yield from _other_noise(call, noise, layer.noise, measured)
    yield from _other_weights(call)
    yield from _other_filters(call)
    yield from _other_settings(call)
    if name == "input":
        yield from _other_transforms(call)
    yield from _other_images(call)


def again(call: Call, changed: dict[int, Any]) -> Callable[[], Tensor]:
    """The module with other arguments."""

    @torch.no_grad()
    def output() -> Tensor:
        result: Tensor = call.module(*(changed.get(index, item) for index, item in enumerate(call.arguments)))
        return result

    return output


@contextmanager
def replaced(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """The module with another weight, filter or setting, meanwhile."""
    kept = getattr(module, name)
    setattr(module, name, nn.Parameter(value) if isinstance(kept, nn.Parameter) else value)
    try:
        yield
    finally:
        setattr(module, name, kept)


def shifted(taps: Tensor, step: int) -> Tensor:
    """A filter, a tap longer on both sides, moved by one."""
    return functional.pad(taps, (1, 1) * taps.ndim).roll([step] * taps.ndim, dims=tuple(range(taps.ndim)))


def _with(call: Call, name: str, value: Any, module: nn.Module | None = None) -> Callable[[], Tensor]:
    """The layer with something else in it, or in a `module` of it."""

    def output() -> Tensor:
        with replaced(module or call.module, name, value):
            return again(call, {})()

    return output


def _other_rows(call: Call, ws: Tensor, own: int) -> Iterator[Mistake]:
    at = 0 if len(call.arguments) < 2 or call.arguments[0].ndim == 2 else 1
    for row in range(ws.shape[1]):
        if row != own and not torch.equal(ws[:, row], ws[:, own]):
            told = f"with row {row} of ws in place of row {own}"
            yield Mistake(Cause.STYLE_ORDER, told, again(call, {at: ws[:, row]}))


def _other_noise(call: Call, noise: list[Tensor], own: int, measured: np.ndarray) -> Iterator[Mistake]:
    given = noise[own]
    yield Mistake(Cause.NOISE_LEFT_OUT, f"without {noise_name(own)}", again(call, {2: None}))
    for index, other in enumerate(noise):
        if index != own and other.shape[2:] == given.shape[2:]:
            told = f"with {noise_name(index)} in place of {noise_name(own)}"
            yield Mistake(Cause.NOISE_ORDER, told, again(call, {2: other}))
    if len(given) > 1:
        told = f"with {noise_name(own)} of another image of the batch"
        yield Mistake(Cause.NOISE_ORDER, told, again(call, {2: given.roll(1, dims=0)}))
    turned = given.transpose(2, 3)
    yield Mistake(Cause.NOISE_ORDER, f"with {noise_name(own)} transposed", again(call, {2: turned}))
    fitted = _fitted(call, given, measured)
    for strength in (*STRENGTHS, *([fitted] if abs(fitted) > NO_STRENGTH else [])):
        told = f"with {strength:.4g} times the strength of {noise_name(own)}"
        yield Mistake(Cause.NOISE_STRENGTH, told, again(call, {2: given * strength}))


def _fitted(call: Call, given: Tensor, measured: np.ndarray) -> float:
    """The factor of the noise's strength, near 1, with which the layer is nearest to what was measured."""
    target, strength = torch.from_numpy(measured).double(), 1.0
    for _ in range(FITS):
        here = again(call, {2: given * strength})().double()
        slope = (again(call, {2: given * (strength + STEP)})().double() - here) / STEP
        energy = float(slope.square().sum())
        if not energy > 0:
            return 1.0
        strength += float(((target.reshape(here.shape) - here) * slope).sum()) / energy
    return strength if np.isfinite(strength) else 1.0


def _other_weights(call: Call) -> Iterator[Mistake]:
    module = call.module
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim == 4 and weight.shape[-1] > 1:
        transposed, mirrored = weight.transpose(2, 3), weight.flip(2, 3)
        yield Mistake(Cause.KERNEL, "with its kernel transposed", _with(call, "weight", transposed))
        yield Mistake(Cause.KERNEL, "with its kernel mirrored", _with(call, "weight", mirrored))
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        yield Mistake(Cause.BIAS, "without its bias", _with(call, "bias", torch.zeros_like(bias)))
    for name in ("affine", "style"):
        inner = getattr(module, name, None)
        if isinstance(inner, nn.Module) and isinstance(inner.bias, Tensor):
            without = _with(call, "bias", torch.zeros_like(inner.bias), inner)
            yield Mistake(Cause.STYLE_BIAS, "without the bias of its style", without)


def _other_filters(call: Call) -> Iterator[Mistake]:
    for name in FILTERS:
        taps = getattr(call.module, name, None)
        if not isinstance(taps, Tensor) or not taps.ndim:
            continue
        others = {"mirrored": taps.flip(tuple(range(taps.ndim)))}
        if taps.ndim > 1:
            others["transposed"] = taps.T
        for step in (1, -1):
            moved = shifted(taps, step) if name == FREE_FILTER else taps.roll([step] * taps.ndim, [*range(taps.ndim)])
            others[f"shifted by {step:+d}"] = moved
        if taps.shape[-1] % 2:
            alone = torch.zeros_like(taps)
            alone[(taps.shape[-1] // 2,) * taps.ndim] = taps.sum()
            others["left out"] = alone
        for told, other in others.items():
            yield Mistake(Cause.FILTER, f"with its filter {told}", _with(call, name, other))


def _other_settings(call: Call) -> Iterator[Mistake]:
    module = call.module
    if getattr(module, "demodulate", False):
        yield Mistake(Cause.DEMODULATION, "without demodulation", _with(call, "demodulate", False))
    if getattr(module, "clamp", None) is not None:
        yield Mistake(Cause.CLAMP, "without its clamp", _with(call, "clamp", None))
    if hasattr(module, "slope"):
        yield Mistake(Cause.ACTIVATION, "without its activation", _with(call, "slope", 1.0))


def _other_images(call: Call) -> Iterator[Mistake]:
    """What the layer takes, or its style, from another image of the batch."""
    for index, item in enumerate(call.arguments[:2]):
        if not isinstance(item, Tensor) or len(item) < 2:
            continue
        what = {4: "what it takes", 3: "the transform"}.get(item.ndim, "the style")
        told = f"with {what} of another image of the batch"
        yield Mistake(Cause.BATCH_ORDER, told, again(call, {index: item.roll(1, dims=0)}))
        for number in range(len(item)):
            one = item[number : number + 1].expand_as(item)
            yield Mistake(Cause.BATCH_ORDER, f"with {what} of image {number} for all", again(call, {index: one}))


def _other_transforms(call: Call) -> Iterator[Mistake]:
    own = call.arguments[1]
    still = torch.eye(3).to(own).expand_as(own)
    yield Mistake(Cause.TRANSFORM, "without the transform", again(call, {1: still}))
    yield Mistake(Cause.TRANSFORM, "with the transform transposed", again(call, {1: own.transpose(1, 2)}))
    inverse = torch.linalg.inv_ex(own)[0]
    yield Mistake(Cause.TRANSFORM, "with the transform's inverse", again(call, {1: inverse}))
