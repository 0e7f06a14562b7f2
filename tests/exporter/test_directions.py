"""`export --directions`: what a user found in W travels with the bundle."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from exporter import export
from exporter.directions import directions_bytes, read_directions
from runtime import Bundle, Generator
from runtime.errors import InputError
from tests.runtime.server.running import running
from tests.runtime.server.test_generate import pixels_of
from tests.tiny import tiny_checkpoint

SPEC = tiny_checkpoint().spec


def written(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_they_are_in_the_bundle_and_edit_its_images(tmp_path: Path, tiny_bundle: Bundle) -> None:
    smile = np.linspace(-1, 1, SPEC.w_dim)  # float64, as people have them
    age = np.random.RandomState(0).randn(SPEC.num_ws, SPEC.w_dim).astype(np.float32)
    path = written(tmp_path / "found.npz", smile=smile, age=age)
    bundle = export(tiny_checkpoint(), tmp_path / "bundle", directions=path)
    assert list(bundle.directions) == ["age", "smile"]
    np.testing.assert_array_equal(bundle.directions["age"], age)
    generator = Generator.load(bundle, threads=1)
    ws = generator.truncate(generator.map(generator.latents([1])))
    ws[:, :2] += 2 * smile.astype(np.float32)
    ws -= 0.5 * age
    edits = [
        {"direction": "smile", "amount": 2, "layers": "0-1"},
        {"direction": "age", "amount": -0.5},
    ]
    with running({"it": bundle}) as server:
        assert server.client.get("/v1/models").json()["models"][0]["directions"] == ["age", "smile"]
        found = pixels_of(server.generate(seed=1, edit=edits, format="raw"))
        np.testing.assert_array_equal(found, generator.synthesize(ws, output="pixels"))
        told = server.generate(seed=1, edit={"direction": "frown", "amount": 1}).json()["error"]
        assert told == "direction 'frown' is unknown, expected one of age, smile"
    assert tiny_bundle.directions == {}


def test_the_same_directions_make_the_same_bytes() -> None:
    one, other = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert directions_bytes({"a": one, "b": other}) == directions_bytes({"b": other, "a": one})


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "holds no direction"),
        ({"a": np.zeros(3)}, r"a is float32 \[3\], expected finite float32 \[9\] or \[6, 9\]"),
        ({"a": np.full(SPEC.w_dim, np.nan)}, "expected finite float32"),
        ({"a": np.full(SPEC.w_dim, 1e300)}, "expected finite float32"),
        ({"a b": np.zeros(SPEC.w_dim)}, "the name 'a b' is not letters"),
        ({"a": np.array(["smile"])}, "not an .npz file of numbers"),
        ({"a": np.array([None])}, "not an .npz file of numbers"),
    ],
)
def test_wrong_directions(tmp_path: Path, arrays: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_directions(written(tmp_path / "wrong.npz", **arrays), SPEC)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_directions(tmp_path / "missing.npz", SPEC)
    single = io.BytesIO()
    np.save(single, np.zeros(SPEC.w_dim))
    for content, told in ((b"", "can't be read"), (b"text", "can't be read"), (single.getvalue(), "one array without")):
        path = tmp_path / "other.npz"
        path.write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_directions(path, SPEC)
