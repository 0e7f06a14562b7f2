"""Tiny generators as rosinality's two projects save them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from exporter.checkpoints import Checkpoint
from runtime.spec import StyleGAN1Spec

CHANNELS = (8, 6, 4)
WIDTH = 8
TAPS = np.array([1, 3, 3, 1]) / 8


def rosinality_state(
    without: str | None = None, kernel: np.ndarray | None = None, conv1_activate_bias: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """A 16 px generator of stylegan2-pytorch with random weights.

    `without` leaves out the names that it matches, the others replace tensors.
    """
    shapes: dict[str, tuple[int, ...]] = {"input.input": (1, CHANNELS[0], 4, 4), "noises.noise_0": (1, 1, 4, 4)}
    for index in (1, 2):
        shapes |= {f"style.{index}.weight": (WIDTH, WIDTH), f"style.{index}.bias": (WIDTH,)}
    shapes |= _convolution("conv1", CHANNELS[0], CHANNELS[0]) | _to_rgb("to_rgb1", CHANNELS[0])
    for stage, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        shapes |= _convolution(f"convs.{2 * stage}", inputs, outputs) | _convolution(
            f"convs.{2 * stage + 1}", outputs, outputs
        )
        shapes |= _to_rgb(f"to_rgbs.{stage}", outputs)
        for noise in (2 * stage + 1, 2 * stage + 2):
            shapes[f"noises.noise_{noise}"] = (1, 1, 8 << stage, 8 << stage)
    random = np.random.RandomState(0)
    state = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    filters = (np.outer(TAPS, TAPS) * 4 if kernel is None else kernel).astype(np.float32)
    for name in ("convs.0.conv.blur", "convs.2.conv.blur", "to_rgbs.0.upsample", "to_rgbs.1.upsample"):
        state[f"{name}.kernel"] = filters
    if conv1_activate_bias is not None:
        state["conv1.activate.bias"] = conv1_activate_bias
    return {name: array for name, array in state.items() if not (without and re.search(without, name))}


def _convolution(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.conv.weight": (1, outputs, inputs, 3, 3),
        f"{name}.conv.modulation.weight": (inputs, WIDTH),
        f"{name}.conv.modulation.bias": (inputs,),
        f"{name}.noise.weight": (1,),
        f"{name}.activate.bias": (outputs,),
    }


def _to_rgb(name: str, inputs: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.conv.weight": (1, 3, inputs, 1, 1),
        f"{name}.conv.modulation.weight": (inputs, WIDTH),
        f"{name}.conv.modulation.bias": (inputs,),
        f"{name}.bias": (1, 3, 1, 1),
    }


def style_based_state(checkpoint: Checkpoint, fused_from: int = 128, untrained: int = 0) -> dict[str, np.ndarray]:
    """A generator of style-based-gan-pytorch, with more blocks above it that training has not touched."""
    weights, network = checkpoint.weights, checkpoint.spec.synthesis
    assert isinstance(network, StyleGAN1Spec)
    taps = np.array(network.blur_filter, np.float32)
    state = {"generator.progression.0.conv1.input": weights["synthesis.b4.const"][None]}
    for index in range(len(checkpoint.spec.mapping.features)):
        state[f"style.{2 * index + 1}.linear.weight_orig"] = weights[f"mapping.fc{index}.weight"]
        state[f"style.{2 * index + 1}.linear.bias"] = weights[f"mapping.fc{index}.bias"]
    for block in range(len(network.channels) + untrained):
        trained = min(block, len(network.channels) - 1)
        side, layers = 4 << block, _block(weights, 4 << trained)
        if block > trained:
            layers = {name: array * (not name.endswith((".bias", "noise_weight"))) for name, array in layers.items()}
            layers["conv0.weight"] = layers["conv1.weight"]
        state |= _style_based_block(layers, block, side >= fused_from, np.outer(taps, taps))
    return state


def _block(weights: Mapping[str, np.ndarray], side: int) -> dict[str, np.ndarray]:
    prefix = f"synthesis.b{side}."
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def _style_based_block(
    layers: Mapping[str, np.ndarray], block: int, fused: bool, kernel: np.ndarray
) -> dict[str, np.ndarray]:
    names = {
        "conv2.conv.weight_orig": layers["conv1.weight"],
        "conv2.conv.bias": layers["conv1.bias"],
        "noise1.weight_orig": layers["conv0.noise_weight"][None, :, None, None],
        "noise2.weight_orig": layers["conv1.noise_weight"][None, :, None, None],
    }
    for theirs, ours in (("adain1", "conv0"), ("adain2", "conv1")):
        names[f"{theirs}.style.linear.weight_orig"] = layers[f"{ours}.style.weight"]
        names[f"{theirs}.style.linear.bias"] = layers[f"{ours}.style.bias"]
    if block:
        blur = "conv1.1" if fused else "conv1.2"
        names[f"{blur}.weight"] = np.tile(kernel, (len(layers["conv0.bias"]), 1, 1, 1))
        names[f"{blur}.weight_flip"] = names[f"{blur}.weight"][:, :, ::-1, ::-1]
        if fused:  # [in, out, 3, 3], mirrored, and 4 times as large
            names["conv1.0.weight"] = 4 * layers["conv0.weight"].transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
            names["conv1.0.bias"] = layers["conv0.bias"]
        else:
            names["conv1.1.conv.weight_orig"] = layers["conv0.weight"]
            names["conv1.1.conv.bias"] = layers["conv0.bias"]
    state = {f"generator.progression.{block}.{name}": array for name, array in names.items()}
    state[f"generator.to_rgb.{block}.conv.weight_orig"] = layers["torgb.weight"]
    state[f"generator.to_rgb.{block}.conv.bias"] = layers["torgb.bias"]
    return state


def to_torch_stream(value: Any) -> bytes:
    """What torch.save wrote before version 1.6, but for the storages' keys: addresses there, numbers in a row here."""
    data = _save(value, zipped=False)
    keys = dict.fromkeys(re.findall(rb"X....(\d{10,20})", data))
    for index, key in enumerate(keys):
        data = data.replace(key, b"%0*d" % (len(key), index + 1))
    return data


def to_torch_zip(value: Any) -> bytes:
    """What torch.save writes since."""
    return _save(value, zipped=True)


def _save(value: Any, zipped: bool) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(_to_tensors(value), file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _to_tensors(value: Any) -> Any:
    import torch

    if isinstance(value, Mapping):
        return {key: _to_tensors(item) for key, item in value.items()}
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
