"""The command line, the Python and the curl that a server writes: each draws the server's own image, to the bit."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime import Bundle
from runtime.command_line import number
from runtime.server.models import ModelSource
from stylegan_edge.cli import run
from tests.runtime.server.running import Running, running

W = [0.5, -0.25, 1.5, 0.0, 2.0, -1.0, 0.1, 0.2, 0.3]
"""A style of a tiny generator, [w_dim]."""
ROWS = [[value * (row + 1) / 3 for value in W] for row in range(6)]
"""A style a row, [num_ws, w_dim]."""
Z = [0.1, -0.7, 1.3, 0.0, 2.5, -1.1, 0.4]

OF_THE_COMMAND_LINE: list[tuple[str, dict[str, Any]]] = [
    ("plain", {"seed": 42}),
    ("plain", {"seed": 2**32 - 1, "psi": 0.7}),
    ("plain", {"seeds": [3], "psi": 0.1 + 0.2, "cutoff": 4}),
    ("plain", {"seed": 1, "psi": -0.5, "cutoff": None, "noise": "none"}),
    ("plain", {"seed": 1, "noise": 7, "quality": 10, "format": None}),
    ("conditional", {"seed": 5, "class": 2, "psi": 0.5}),
    ("conditional", {"seed": 5, "class": [1]}),
    ("stylegan1", {"seed": 8, "psi": 0.6}),
    ("stylegan1", {"seed": 8, "psi": 0.6, "cutoff": None}),
    ("stylegan3", {"seed": 9}),
    ("stylegan3", {"seed": 9, "rotate": -12.5}),
    ("stylegan3", {"seed": 9, "translate": [-0.1, 1 / 3], "psi": 0.9}),
    ("blend", {"seeds": [1, 2], "psi": 0.5}),
    ("blend", {"seeds": "4,4"}),
]
OF_PYTHON_ALONE: list[tuple[str, dict[str, Any]]] = [
    ("plain", {"seed": 1, "mix": {"seed": 2, "layers": "coarse"}, "psi": 0.7}),
    ("plain", {"seed": 1, "mix": {"seed": 2, "weight": 0.37}, "noise": 3}),
    ("plain", {"seed": 1, "mix": [{"seed": 2, "weight": 0.1}, {"seed": 3, "layers": "0-1,4", "weight": 1}]}),
    ("plain", {"seed": 1, "mix": [{"seed": 1, "weight": 0.5}, {"z": Z, "layers": [5]}]}),
    ("plain", {"seed": 1, "mix": [{"w": W, "layers": [2]}, {"w": ROWS, "weight": 0.5}], "psi": 0.8, "cutoff": 3}),
    ("plain", {"z": Z, "mix": {"seed": 5, "weight": 0.25}}),
    ("plain", {"w": W, "psi": 0.3}),
    ("plain", {"w": [ROWS], "psi": 0.3, "cutoff": 2}),
    ("plain", {"w": [ROWS], "psi": 0.3}),
    ("plain", {"w": [ROWS]}),
    ("plain", {"seed": 6, "edit": {"direction": "smile", "amount": 1.5}}),
    ("plain", {"seed": 6, "edit": [{"direction": "age", "amount": -0.3, "layers": "2-4"}], "psi": 0.7}),
    ("plain", {"seed": 6, "edit": [{"direction": W, "amount": 0.1}, {"direction": ROWS, "amount": 2, "layers": [1]}]}),
    ("conditional", {"seed": 1, "class": 0, "mix": {"seed": 1, "class": 2, "layers": "fine"}}),
    ("stylegan1", {"seed": 1, "mix": {"seed": 2, "weight": 0.5}, "psi": 0.4}),
    ("stylegan1", {"w": [ROWS], "psi": 0.4}),
    ("stylegan3", {"seed": 1, "mix": {"seed": 2, "layers": "coarse"}, "rotate": 30, "translate": [0.25, 0]}),
    ("blend", {"z": [Z, Z], "psi": 0.5}),
    ("blend", {"w": [W, [0.0] * 9], "psi": 0.5}),
    ("blend", {"seeds": [1, 2], "edit": {"direction": W, "amount": 0.5}}),
]


@pytest.fixture(scope="module")
def all_kinds(
    directed_bundle: Bundle,
    conditional_bundle: Bundle,
    stylegan1_bundle: Bundle,
    stylegan3_bundle: Bundle,
    blend_bundle: Bundle,
) -> Iterator[Running]:
    """A bundle of each kind, served."""
    bundles = {
        "plain": directed_bundle,
        "conditional": conditional_bundle,
        "stylegan1": stylegan1_bundle,
        "stylegan3": stylegan3_bundle,
        "blend": blend_bundle,
    }
    with running(bundles, reload_seconds=0) as served:
        yield served


def _pixels(server: Running, asked: dict[str, Any], token: str = "none") -> np.ndarray:
    """The server's image as it was drawn."""
    headers = {"accept": "application/octet-stream", "authorization": f"Bearer {token}"}
    answer = server.client.post("/v1/generate", json={**asked, "format": "raw"}, headers=headers).raise_for_status()
    return np.frombuffer(answer.content, np.uint8).reshape(16, 16, -1)


def _code(server: Running, asked: dict[str, Any], token: str = "none") -> dict[str, Any]:
    answer = server.client.post("/v1/code", json=asked, headers={"authorization": f"Bearer {token}"})
    code: dict[str, Any] = answer.raise_for_status().json()
    return code


def _run_command(text: str, folder: Path) -> np.ndarray:
    words = shlex.split(text)
    assert words[0] == "stylegan-edge"
    assert run(words[1:]) == 0
    (path,) = (folder / "images").iterdir()
    return np.asarray(Image.open(path))


def _run_python(text: str) -> np.ndarray:
    exec(compile(text, "snippet.py", "exec"), {})
    return np.asarray(Image.open("image.png"))


@pytest.mark.parametrize(("model", "asked"), OF_THE_COMMAND_LINE)
def test_the_command_and_the_python_draw_the_servers_image(
    all_kinds: Running, model: str, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = _pixels(all_kinds, {**asked, "model": model})
    code = _code(all_kinds, {**asked, "model": model})
    assert np.array_equal(_run_command(code["command"], tmp_path), wanted)
    assert np.array_equal(_run_python(code["python"]), wanted)


@pytest.mark.parametrize(("model", "asked"), OF_PYTHON_ALONE)
def test_python_draws_mixes_edits_and_given_styles(
    all_kinds: Running, model: str, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = _code(all_kinds, {**asked, "model": model})
    assert code["command"] is None
    assert np.array_equal(_run_python(code["python"]), _pixels(all_kinds, {**asked, "model": model}))


def test_the_images_compared_are_not_all_alike(all_kinds: Running) -> None:
    asked = [{**body, "model": model} for model, body in OF_THE_COMMAND_LINE + OF_PYTHON_ALONE if model == "plain"]
    drawn = {_pixels(all_kinds, body).tobytes() for body in asked}
    assert len(drawn) == len(asked)


def test_a_plain_script_is_plain(all_kinds: Running) -> None:
    """What one sees first must not be a wall."""
    script = _code(all_kinds, {"seed": 42, "psi": 0.7, "model": "conditional", "class": 1})["python"]
    assert [line.strip() for line in script.splitlines()[6:]] == [
        "z = generator.latents([42])",
        "c = generator.labels([1])",
        "w = generator.map(z, c)",
        "ws = generator.truncate(w, psi=0.7)",
        'pixels = generator.synthesize(ws, output="pixels")',
        'write_png(Path("image.png"), pixels[0], overwrite=True)',
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_fetches_the_servers_image(all_kinds: Running, tmp_path: Path) -> None:
    asked = {"seed": 4, "psi": 0.7, "mix": {"seed": 9, "layers": "coarse"}, "model": "plain"}
    line = _code(all_kinds, {**asked, "format": "webp", "quality": 3})["curl"]
    subprocess.run(line, shell=True, check=True, cwd=tmp_path, timeout=20)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "image.png")), _pixels(all_kinds, asked))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_token_is_taken_from_the_environment(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with running({"plain": tiny_bundle}, tokens=frozenset({"a-secret"})) as served:
        line = _code(served, {"seed": 4}, "a-secret")["curl"]
        assert "a-secret" not in line
        subprocess.run(line, shell=True, check=True, cwd=tmp_path, timeout=20, env={"TOKEN": "a-secret"})
        assert np.array_equal(np.asarray(Image.open(tmp_path / "image.png")), _pixels(served, {"seed": 4}, "a-secret"))


def test_what_a_bundle_was_opened_with_is_in_the_code(tiny_bundle: Bundle) -> None:
    source = ModelSource("plain", tiny_bundle.path, backend="onnxruntime", threads=1)
    with running([source]) as served:
        code = _code(served, {"seed": 4})
    assert f'Generator.load("{tiny_bundle.path}", backend="onnxruntime", threads=1)' in code["python"]
    assert "--backend onnxruntime --threads 1" in code["command"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": "0-1", "model": "plain"}, "2 images asked for, expected one"),
        ({"model": "plain"}, "nothing to draw is given"),
        ({"seed": 1, "model": "plain", "id": 3}, "id is not a field"),
        ({"seed": 1, "model": "conditional"}, "give a class, 0 to 2"),
        ({"seed": 1}, "several models are served"),
    ],
)
def test_what_can_not_be_drawn_has_no_code(all_kinds: Running, asked: dict[str, Any], said: str) -> None:
    answer = all_kinds.client.post("/v1/code", json=asked)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_numbers_are_short_where_that_is_exact() -> None:
    assert [number(value) for value in (0.7, 1.0, -12.5, 0.1 + 0.2)] == ["0.7", "1", "-12.5", "0.30000000000000004"]
