"""Known answers: tiny networks written and run by the official code, and how far ours may be from them.

One case is kept here; the others are read from a folder `shared/golden` beside the project where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.checkpoints import Checkpoint, load_checkpoint
from exporter.networks import ReferenceNetwork
from exporter.networks.stylegan2 import SynthesisBlock

FLOAT64_LIMIT = 1e-6
"""Of the array's absolute maximum; the arrays were stored in float32, whose rounding is 6e-8."""
FLOAT32_LIMIT = 4e-6
"""The least that float32 is allowed, for arrays on which the official code happened to round well."""
FLOAT32_FACTOR = 3
"""How often the official code's own float32 error ours may have."""

HERE = Path(__file__).parent / "data" / "known_answers"
SHARED = Path(__file__).parents[2] / "shared" / "golden"
NAMES = (
    "A1_ada_skip64",
    "A2_ada_cond32",
    "A3_ada_orig32",
    "A4_ada_resnet32",
    "A5_ada_clamp_active32",
    "B4_sg3repo_sg2_32",
    "E1_ros_sg2_train64",
    "E3_ros_sg2_converted64",
)


@dataclass(frozen=True)
class Result:
    """One array compared: errors are relative to its absolute maximum."""

    case: str
    array: str
    dtype: str
    error: float
    official: float | None
    limit: float

    @property
    def passed(self) -> bool:
        """Whether ours is as close as it must be."""
        return self.error <= self.limit


@dataclass(frozen=True)
class Case:
    """A checkpoint, its inputs, and the official code's outputs."""

    name: str
    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What each array means, and the official code's own float32 errors."""
        facts: dict[str, Any] = json.loads((self.folder / "golden.json").read_text())
        return facts

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Inputs and outputs."""
        with np.load(self.folder / "golden.npz") as arrays:
            return dict(arrays)

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.folder / str(self.facts["checkpoint"])

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, with the mean of w that the answers were computed with where the file has none."""
        checkpoint = load_checkpoint(self.path)
        if not checkpoint.has_mean_w:
            mean = self.arrays["truncation_latent"].reshape(-1)
            weights = {**checkpoint.weights, "mapping.w_avg": mean}
            checkpoint = Checkpoint(checkpoint.spec, weights, checkpoint.source, checkpoint.name, checkpoint.sha256)
        return checkpoint


def available_cases() -> list[Case]:
    """The cases at hand, in order."""
    folders = {name: next((root / name for root in (HERE, SHARED) if (root / name).is_dir()), None) for name in NAMES}
    return [Case(name, folder) for name, folder in folders.items() if folder is not None]


def compare(case: Case, dtype: torch.dtype) -> Iterator[Result]:
    """Run the reference over every known answer of a case that exists in `dtype`."""
    for name, ours in _outputs(case, dtype):
        suffix = "_f64" if dtype == torch.float64 else ""
        expected = case.arrays.get(name + suffix)
        if expected is None:
            continue
        measured = ours.double().numpy()[: len(expected)]
        error = float(np.abs(measured - expected).max() / np.abs(expected).max())
        official = case.facts["f32_vs_f64"].get(name, {}).get("max_rel_to_absmax")
        limit = FLOAT64_LIMIT if suffix else max(FLOAT32_LIMIT, FLOAT32_FACTOR * (official or 0.0))
        yield Result(case.name, name, "float64" if suffix else "float32", error, official, limit)


@torch.no_grad()
def _outputs(case: Case, dtype: torch.dtype) -> list[tuple[str, torch.Tensor]]:
    """Every array that the reference can produce, by its name in the file."""
    network = case.checkpoint.build(dtype)
    z = torch.from_numpy(case.arrays["z"]).to(dtype)
    c = torch.from_numpy(case.arrays["c"]).to(dtype) if "c" in case.arrays else None
    w = network.mapping(z, c)
    ws = network.truncate(w)
    outputs = [("w", w), ("ws_psi1", ws)]
    images: dict[str, tuple[torch.Tensor, Any]] = {"image_psi1": (ws, "const"), "image_noise_none": (ws[:1], "none")}
    if "noise2_0" in case.arrays:
        shapes = network.spec.noise_shapes
        second = [
            torch.from_numpy(case.arrays[f"noise2_{i}"]).to(dtype).reshape(1, 1, *s) for i, s in enumerate(shapes)
        ]
        images["image_noise2"] = (ws[:1], second)
    for name in case.arrays:
        if name.startswith("image_mix") and not name.endswith("_f64"):
            row = int(name.removeprefix("image_mix"))
            images[name] = (torch.cat([ws[:1, :row], ws[1:2, row:]], dim=1), "const")
        elif name.startswith("ws_psi") and name != "ws_psi1":
            psi, _, cutoff = name.removeprefix("ws_psi").partition("_cut")
            moved = network.truncate(w, float(psi), int(cutoff) if cutoff else None)
            outputs.append((name, moved))
            images[name.replace("ws_", "image_")] = (moved[:1], "const")
    outputs += [(name, network.synthesis(styles, noise)) for name, (styles, noise) in images.items()]
    return outputs + _features(network, ws[:1])


def _features(network: ReferenceNetwork, ws: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """What the answers hold of the inside: each layer's or block's output, and the image so far."""
    found: list[tuple[str, torch.Tensor]] = []

    def of_block(name: str) -> Any:
        def hook(_: Any, __: Any, output: tuple[torch.Tensor, torch.Tensor | None]) -> None:
            found.append((f"feat_{name}", output[0]))
            if output[1] is not None:
                found.append((f"rgb_{name}", output[1]))
                found.append((f"rgb_{_rosinality_rgb(name)}", output[1]))

        return hook

    def of_layer(name: str) -> Any:
        return lambda _, __, output: found.append((f"feat_{name}", output))

    handles = []
    for resolution in network.spec.synthesis.resolutions:
        block = network.synthesis.get_submodule(f"b{resolution}")
        assert isinstance(block, SynthesisBlock)
        handles.append(block.register_forward_hook(of_block(f"b{resolution}")))
        for conv, name in zip(("conv0", "conv1"), _rosinality_convs(resolution)):
            if hasattr(block, conv):
                handles.append(block.get_submodule(conv).register_forward_hook(of_layer(name)))
    network.synthesis(ws)
    for handle in handles:
        handle.remove()
    return found


def _rosinality_rgb(block: str) -> str:
    resolution = int(block[1:])
    return "to_rgb1" if resolution == 4 else f"to_rgbs.{resolution.bit_length() - 4}"


def _rosinality_convs(resolution: int) -> tuple[str, str]:
    if resolution == 4:
        return "-", "conv1"
    first = 2 * (resolution.bit_length() - 4)
    return f"convs.{first}", f"convs.{first + 1}"
