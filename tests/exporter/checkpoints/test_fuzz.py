"""Mutated checkpoints of every format: each loads or is refused, whatever byte was changed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.checkpoints import load_checkpoint, write_safetensors
from runtime.errors import StyleganEdgeError
from tests.exporter.checkpoints import tensorflow_networks
from tests.exporter.checkpoints.known_networks import (
    exact_checkpoint,
    rosinality_stylegan1,
    tensorflow_stylegan1,
    tensorflow_stylegan2,
    without_extras,
)
from tests.exporter.checkpoints.refusals import bounded
from tests.exporter.checkpoints.snapshots import small_snapshot, to_pickle
from tests.exporter.checkpoints.state_dicts import (
    rosinality_state,
    style_based_state,
    to_torch_stream,
    to_torch_zip,
)
from tests.exporter.checkpoints.stylegan3_snapshots import small_stylegan3
from tests.exporter.checkpoints.tensorflow_networks import honest_variables
from tests.tiny import tiny_checkpoint

ROUNDS = 120
"""Mutations of each format."""
TEXT = re.compile(rb"[ -~]{8,}")
NEAR = 48
"""Bytes around a text that are taken for structure: opcodes, lengths, headers."""

OPTIONS = {"resolution": 8, "fused_scale": "auto", "blur_filter": [1, 2, 1], "truncation_psi": 0.7, "use_noise": True}

Mutation = Callable[[bytearray, int, random.Random], None]


def flip_bit(data: bytearray, at: int, source: random.Random) -> None:
    data[at] ^= 1 << source.randrange(8)


def set_byte(data: bytearray, at: int, source: random.Random) -> None:
    data[at] = source.choice([0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)])


def truncate(data: bytearray, at: int, source: random.Random) -> None:
    del data[at:]


def delete(data: bytearray, at: int, source: random.Random) -> None:
    del data[at : at + source.randint(1, 64)]


def duplicate(data: bytearray, at: int, source: random.Random) -> None:
    data[at:at] = data[at : at + source.randint(1, 64)]


def swap(data: bytearray, at: int, source: random.Random) -> None:
    size, other = source.randint(1, 16), source.randrange(len(data))
    data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]


MUTATIONS: tuple[Mutation, ...] = (flip_bit, flip_bit, set_byte, set_byte, truncate, delete, duplicate, swap)


def nvidia_pickle(folder: Path) -> bytes:
    return to_pickle(small_snapshot())


def tensorflow_pickle(folder: Path) -> bytes:
    return tensorflow_networks.tensorflow_pickle(honest_variables(tensorflow_stylegan1(channels=(3, 2))), OPTIONS)


def tensorflow_pickle_5(folder: Path) -> bytes:
    variables = honest_variables(tensorflow_stylegan2(channels=(3, 2)))
    return tensorflow_networks.tensorflow_pickle(variables, {"resolution": 8}, version=4, protocol=5)


def stylegan3_pickle(folder: Path) -> bytes:
    return to_pickle(small_stylegan3())


def style_based_stream(folder: Path) -> bytes:
    checkpoint = without_extras(exact_checkpoint(rosinality_stylegan1(channels=(3, 2))))
    return to_torch_stream({"g_running": style_based_state(checkpoint, fused_from=8)})


def torch_zip(folder: Path) -> bytes:
    return to_torch_zip({"g_ema": rosinality_state()})


def torch_stream(folder: Path) -> bytes:
    return to_torch_stream({"g_ema": rosinality_state()})


def safetensors(folder: Path) -> bytes:
    path = folder / "original.safetensors"
    write_safetensors(tiny_checkpoint(), path)
    return path.read_bytes()


@pytest.fixture(
    scope="module",
    params=[
        *(nvidia_pickle, stylegan3_pickle, tensorflow_pickle, tensorflow_pickle_5),
        *(torch_zip, torch_stream, style_based_stream, safetensors),
    ],
    ids=lambda make: make.__name__,
)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    data: bytes = request.param(tmp_path_factory.mktemp("original"))
    return data


@pytest.mark.filterwarnings("error")
def test_a_mutated_checkpoint_loads_or_is_refused(original: bytes, tmp_path: Path) -> None:
    source, path = random.Random(0), tmp_path / "network"
    structure = [at for text in TEXT.finditer(original) for at in range(max(0, text.start() - NEAR), text.end() + NEAR)]
    for round_ in range(ROUNDS):
        data = bytearray(original)
        names = []
        for _ in range(source.choice([1, 1, 1, 2, 4])):
            mutation = source.choice(MUTATIONS)
            at = source.choice(structure) if source.random() < 0.8 else source.randrange(len(original))
            names.append(f"{mutation.__name__} at {at}")
            if data:
                mutation(data, min(at, len(data) - 1), source)
        path.write_bytes(data)
        _load_or_refuse(path, f"round {round_}: {', '.join(names)}")


def test_a_truncated_checkpoint_is_refused(original: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network"
    for size in sorted({*range(0, 400, 7), *range(0, len(original), len(original) // 60)}):
        path.write_bytes(original[:size])
        with bounded(), pytest.raises(StyleganEdgeError):
            load_checkpoint(path)


def _load_or_refuse(path: Path, what: str) -> None:
    refusal = ""
    try:
        with bounded():
            load_checkpoint(path)
    except StyleganEdgeError as error:
        refusal = str(error)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    assert refusal == "" or refusal.isprintable(), f"{what}: {refusal!r}"
