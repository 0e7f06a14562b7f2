"""What the reference makes of a known answer's inputs, array by array, under the names that the files give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from exporter.checkpoints import Checkpoint
from exporter.networks import ReferenceNetwork
from exporter.networks.stylegan2 import RESNET_GAIN
from runtime.spec import Architecture, Generation, StyleGAN1Spec, StyleGAN2Spec

Arrays = Mapping[str, np.ndarray]
Found = list[tuple[str, torch.Tensor]]
Drawn = tuple[torch.Tensor, Any, Any]
"""`ws`, noise and transform of an image."""


@torch.no_grad()
def outputs(checkpoint: Checkpoint, arrays: Arrays, dtype: torch.dtype) -> Found:
    """Every array that the reference can produce, by its name in the file."""
    if "mean_style" in arrays:
        return _rosinality_stylegan1(checkpoint, arrays, dtype)
    network = checkpoint.build(dtype)
    w = network.mapping(*_latents(arrays, dtype))
    names = [name for name in arrays if not name.endswith("_f64")]
    found: Found = [("w", w), *((name, _truncated(network, w, name)) for name in names if name.startswith("ws_"))]
    for name in names:
        if name.startswith("image_lod"):
            other = checkpoint.at_lod(float(name.removeprefix("image_lod"))).build(dtype)
            found.append((name, other.synthesis(other.truncate(w)[:1])))
        elif name.startswith("image_"):
            found.append((name, network.synthesis(*_image_inputs(network, w, name, arrays))))
    if network.spec.takes_transform:
        stored = network.synthesis.stored_transform()
        assert stored is not None
        found += [("transform_stored", stored), *_moved_inputs(network, network.truncate(w)[:1], arrays)]
    return found + _features(network, network.truncate(w)[:1])


def _latents(arrays: Arrays, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
    c = torch.from_numpy(arrays["c"]).to(dtype) if "c" in arrays else None
    return torch.from_numpy(arrays["z"]).to(dtype), c


def _truncated(network: ReferenceNetwork, w: torch.Tensor, name: str) -> torch.Tensor:
    """`ws` of a name like ws_psi0.5_cut4, or ws_default: what the checkpoint's own code truncates by."""
    if name.endswith("_default"):
        return network.truncate(w, network.spec.truncation.psi, network.spec.default_cutoff)
    match = re.search(r"psi([\d.]+)(?:_cut(\d+))?$", name)
    assert match
    return network.truncate(w, float(match[1]), int(match[2]) if match[2] else None)


def _image_inputs(network: ReferenceNetwork, w: torch.Tensor, name: str, arrays: Arrays) -> Drawn:
    ws = network.truncate(w)
    if name.startswith("image_mix"):
        row = int(name.removeprefix("image_mix"))
        return torch.cat([ws[:1, :row], ws[1:2, row:]], dim=1), "const", None
    if name.startswith("image_transform"):
        return ws[:1], "const", arrays[name.removeprefix("image_")]
    if name == "image_noise_none":
        return ws[:1], "none", None
    if name == "image_noise2":
        return ws[:1], _noise(network, arrays, "noise2"), None
    return _truncated(network, w, name), "const", None


def _noise(network: ReferenceNetwork, arrays: Arrays, prefix: str) -> list[torch.Tensor]:
    shapes = network.spec.noise_shapes
    dtype = network.mapping.w_avg.dtype
    return [torch.from_numpy(arrays[f"{prefix}_{i}"]).to(dtype).reshape(1, 1, *s) for i, s in enumerate(shapes)]


def _moved_inputs(network: ReferenceNetwork, ws: torch.Tensor, arrays: Arrays) -> Found:
    """StyleGAN3's first features under the transforms of the file."""
    entry = network.synthesis.get_submodule("input")
    names = [name for name in arrays if re.fullmatch(r"transform_[a-z]", name)]
    moved = ((name, torch.from_numpy(arrays[name])[None].to(ws)) for name in names)
    return [(f"feat_input_{name}", entry(ws[:, 0], transform)) for name, transform in moved]


def _features(network: ReferenceNetwork, ws: torch.Tensor) -> Found:
    """What the answers hold of the inside: outputs of layers and blocks, and the image so far."""
    generation = network.spec.generation
    names: Callable[[str], list[str]] = {
        Generation.STYLEGAN1: _stylegan1_names,
        Generation.STYLEGAN2: _stylegan2_names,
        Generation.STYLEGAN3: _stylegan3_names,
    }[generation]
    found: Found = []
    handles = []
    for path, module in network.synthesis.named_modules():
        if path and (path.count(".") < 2 or generation is Generation.STYLEGAN3):
            handles.append(module.register_forward_hook(_keeper(found, names(path))))
    network.synthesis(ws)
    for handle in handles:
        handle.remove()
    network_spec = network.spec.synthesis
    if isinstance(network_spec, StyleGAN2Spec) and network_spec.architecture is Architecture.RESNET:
        # The TensorFlow layer's own output, before the factor that belongs to the residual sum.
        scaled = re.compile(r"feat_\d+x\d+_Conv1")
        found = [(name, x / RESNET_GAIN if scaled.fullmatch(name) else x) for name, x in found]
    if generation is Generation.STYLEGAN1:
        found += list(_all_rgb(network, dict(found)))
    return found


def _keeper(found: Found, names: list[str]) -> Callable[..., None]:
    def keep(_: Any, __: Any, output: Any) -> None:
        for name in names:
            # A StyleGAN2 block gives its features, and the image so far.
            value = output[name.startswith("rgb_")] if isinstance(output, tuple) else output
            if value is not None:
                found.append((name, value))

    return keep


def _stylegan2_names(path: str) -> list[str]:
    """NVIDIA's block names, TensorFlow's scopes and rosinality's modules, of one of our modules."""
    block, _, layer = path.partition(".")
    side = int(block[1:])
    stage = side.bit_length() - 4  # 8 -> 0, 16 -> 1, ...
    if not layer:
        rosinality = "to_rgb1" if side == 4 else f"to_rgbs.{stage}"
        return [f"feat_{block}", f"rgb_{block}", f"rgb_{side}x{side}", f"rgb_{rosinality}"]
    if side == 4:
        return ["feat_4x4_Conv", "feat_conv1"] if layer == "conv1" else []
    scopes = {"conv0": ("Conv0_up", 0), "conv1": ("Conv1", 1)}
    if layer not in scopes:
        return []
    scope, index = scopes[layer]
    return [f"feat_{side}x{side}_{scope}", f"feat_convs.{2 * stage + index}"]


def _stylegan1_names(path: str) -> list[str]:
    """TensorFlow's scopes and rosinality's blocks, of one of our modules."""
    block, _, layer = path.partition(".")
    side = int(block[1:])
    names = {"conv0": "Const" if side == 4 else "Conv0_up", "conv1": "Conv" if side == 4 else "Conv1"}
    if layer not in names:
        return []
    block_output = [f"feat_progression.{side.bit_length() - 3}"] if layer == "conv1" else []
    return [f"feat_{side}x{side}_{names[layer]}", *block_output]


def _stylegan3_names(path: str) -> list[str]:
    return [f"feat_{path}"]


def _all_rgb(network: ReferenceNetwork, features: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Every toRGB of a StyleGAN, drawn or not at its level of detail."""
    for lod, side in enumerate(reversed(_resolutions(network))):
        x = features[f"feat_{side}x{side}_{'Conv' if side == 4 else 'Conv1'}"]
        yield f"rgb_ToRGB_lod{lod}", network.synthesis.get_submodule(f"b{side}.torgb")(x)


def _resolutions(network: ReferenceNetwork) -> tuple[int, ...]:
    assert isinstance(network.spec.synthesis, StyleGAN1Spec)
    return network.spec.synthesis.resolutions


def _rosinality_stylegan1(checkpoint: Checkpoint, arrays: Arrays, dtype: torch.dtype) -> Found:
    """Images of several steps of progressive growing: alpha = 1 - lod at 4 * 2**step pixels."""
    at_64 = checkpoint.at_resolution(64)
    network = at_64.build(dtype)
    w = network.mapping(*_latents(arrays, dtype))
    ws, noise = network.truncate(w), _noise(network, arrays, "noise")
    moved = network.truncate(w, 0.7)
    mixed = ws[:1].clone()
    mixed[:, :4] = ws[1:2, :4]  # blocks 0 and 1 take the second style
    found: Found = [
        ("w", w),
        ("w_psi0.7", moved[:, 0]),
        ("image_psi1", network.synthesis(ws[:1], noise)),
        ("image_psi0.7", network.synthesis(moved[:1], noise)),
        ("image_mixrange_0_1", network.synthesis(mixed, noise)),
        ("image_noise_none", network.synthesis(ws[:1], "none")),
        ("image_noise2", network.synthesis(ws[:1], _noise(network, arrays, "noise2"))),
    ]
    for name, other in (
        ("image_alpha0.35", at_64.at_lod(0.65)),
        ("image_step3", checkpoint.at_resolution(32)),
        ("image_step5_alpha0.6", checkpoint.at_resolution(128).at_lod(0.4)),
    ):
        grown = other.build(dtype)
        found.append((name, grown.synthesis(grown.truncate(w)[:1], _noise(grown, arrays, "noise"))))
    handles = []
    for side in _resolutions(network):
        block = network.synthesis.get_submodule(f"b{side}.conv1")
        handles.append(block.register_forward_hook(_keeper(found, _stylegan1_names(f"b{side}.conv1"))))
    network.synthesis(ws[:1], noise)
    for handle in handles:
        handle.remove()
    return found
