"""What a graph holds as constants: styles, which rows of `ws` and whose, and noise."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from exporter.checkpoints import Checkpoint
from exporter.checkpoints.checkpoint import drawn_noise
from exporter.networks import ReferenceNetwork
from runtime.errors import InputError
from runtime.latents import latents, one_hot, parse_numbers
from runtime.manifest import BakedStyle, NoiseMode
from runtime.noise import check_seed
from runtime.spec import GeneratorSpec
from runtime.truncation import towards_mean

SYNTAX = "expected SEED@LAYERS like 7@0-3, or SEED*PSI@LAYERS like 7*0.7@0-3,8"
_STYLE = re.compile(r"^(?P<seed>\d{1,10})(?:\*(?P<psi>-?\d{1,3}(?:\.\d{1,9})?))?@(?P<rows>[\d,\s-]{1,200})$")


def parse_baked(texts: Sequence[str], spec: GeneratorSpec, label: int | None) -> tuple[BakedStyle, ...]:
    """Read `7@0-3`, one text a style; `label` is the class of all where the generator is conditional.

    Raises InputError where a text makes no sense, a row is fixed twice or not there, or none is left to vary.
    """
    if label is not None and not 0 <= label < spec.c_dim:
        wanted = f"0 to {spec.c_dim - 1}" if spec.c_dim else "none: the generator is unconditional"
        raise InputError(f"baked class {label} is out of range, expected {wanted}")
    if texts and spec.c_dim and label is None:
        raise InputError(f"this generator is conditional: give the class of the baked styles, 0 to {spec.c_dim - 1}")
    baked = tuple(_parse(text, label) for text in texts)
    rows = [row for style in baked for row in style.rows]
    if any(row >= spec.num_ws for row in rows):
        raise InputError(f"baked row {max(rows)} is out of range, expected 0 to {spec.num_ws - 1}")
    if len(set(rows)) < len(rows):
        raise InputError(f"a row is baked twice: {', '.join(map(str, sorted(rows)))}; expected each once")
    if len(rows) == spec.num_ws:
        raise InputError(f"all {spec.num_ws} rows are baked, so that every image would be the same; leave one free")
    return baked


def _parse(text: str, label: int | None) -> BakedStyle:
    match = _STYLE.match(text.strip())
    if match is None:
        raise InputError(f"baked style {text[:40]!r} is not understood; {SYNTAX}")
    seed = int(match["seed"])
    check_seed(seed)
    rows = parse_numbers(match["rows"], what="layer")
    return BakedStyle(seed, float(match["psi"] or 1), label, tuple(sorted(rows)))


@torch.no_grad()
def fixed_rows(network: ReferenceNetwork, baked: Sequence[BakedStyle]) -> Mapping[int, np.ndarray]:
    """Row of `ws` -> its `w`, float32 [w_dim], drawn by the reference and truncated."""
    rows: dict[int, np.ndarray] = {}
    mean = network.mapping.w_avg.numpy()
    for style in baked:
        z = torch.from_numpy(latents([style.seed], network.spec.z_dim))
        c = None if style.label is None else torch.from_numpy(one_hot([style.label], network.spec.c_dim))
        w = network.mapping(z, c).numpy()[0]
        rows |= dict.fromkeys(style.rows, towards_mean(w, mean, style.psi))
    return rows


def with_fixed(ws: np.ndarray, fixed: Mapping[int, np.ndarray]) -> np.ndarray:
    """`ws` [..., num_ws, w_dim] with the fixed rows in their places."""
    if not fixed:
        return ws
    ws = ws.copy()
    for row, w in fixed.items():
        ws[..., row, :] = w
    return ws


def noise_mode(noise: str | NoiseMode | None, seed: int | None) -> NoiseMode:
    """The mode that was asked for: explicit unless told otherwise, const where noise of a seed is baked.

    Raises InputError for a mode that there is not, one that contradicts the seed, or a seed out of range.
    """
    if noise is None:
        noise = NoiseMode.EXPLICIT if seed is None else NoiseMode.CONST
    try:
        mode = NoiseMode(noise)
    except ValueError:
        raise InputError(f"noise {noise!r} is unknown, expected explicit, const or none") from None
    if seed is not None:
        check_seed(seed)
        if mode is not NoiseMode.CONST:
            raise InputError(f"noise of seed {seed} is to be baked, but noise is {mode.value!r}: leave that out")
    return mode


def with_noise_of(checkpoint: Checkpoint, seed: int) -> Checkpoint:
    """The checkpoint with the noise of a seed for its own. Raises InputError where its network takes none."""
    if not checkpoint.spec.noise_inputs:
        raise InputError(f"{checkpoint.name}: its network takes no noise, so there is none to bake; leave it out")
    return dataclasses.replace(checkpoint, weights={**checkpoint.weights, **drawn_noise(checkpoint.spec, seed)})
