"""Known answers: tiny networks written and run by the official code, and how far ours may be from them.

One case a generation is kept here; the others are read from a folder `shared/golden` beside the project, if it stands.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.checkpoints import MEAN_W, Checkpoint, load_checkpoint
from tests.known_outputs import outputs

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
    "B1_sg3t_64",
    "B2_sg3r_64",
    "B3_sg3t_cond32",
    "B4_sg3repo_sg2_32",
    "C1_sg2tf_skip64",
    "C2_sg2tf_cond32",
    "C3_sg2tf_resnet32",
    "D1_sg1tf_64",
    "D2_sg1tf_128",
    "D3_sg1tf_cond32",
    "E1_ros_sg2_train64",
    "E2_ros_sg1_train64",
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
            mean = self.arrays["mean_style" if "mean_style" in self.arrays else "truncation_latent"].reshape(-1)
            checkpoint = dataclasses.replace(checkpoint, weights={**checkpoint.weights, MEAN_W: mean})
        return checkpoint


def available_cases() -> list[Case]:
    """The cases at hand, in order."""
    folders = {name: next((root / name for root in (HERE, SHARED) if (root / name).is_dir()), None) for name in NAMES}
    return [Case(name, folder) for name, folder in folders.items() if folder is not None]


def compare(case: Case, dtype: torch.dtype) -> Iterator[Result]:
    """Run the reference over every known answer of a case that exists in `dtype`."""
    for name, ours in outputs(case.checkpoint, case.arrays, dtype):
        suffix = "_f64" if dtype == torch.float64 else ""
        expected = case.arrays.get(name + suffix)
        if expected is None:
            continue
        part = tuple(slice(size) for size in expected.shape[:2])  # files hold the first images and channels only
        measured = ours.double().numpy()[part]
        error = float(np.abs(measured - expected).max() / np.abs(expected).max())
        official = case.facts["f32_vs_f64"].get(name, {}).get("max_rel_to_absmax")
        limit = FLOAT64_LIMIT if suffix else max(FLOAT32_LIMIT, FLOAT32_FACTOR * (official or 0.0))
        yield Result(case.name, name, "float64" if suffix else "float32", error, official, limit)
