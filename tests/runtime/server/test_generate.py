"""`POST /v1/generate`: the images that the same call in Python makes, in the form that the client reads."""

from __future__ import annotations

import email
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from runtime import Bundle, Generator
from runtime.transforms import make_transform
from tests.runtime.server.running import Running, running


def pixels_of(answer: httpx.Response) -> np.ndarray:
    """The images of a raw answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-image-dtype"] == "uint8"
    shape = [int(size) for size in answer.headers["x-image-shape"].split(",")]
    return np.frombuffer(answer.content, np.uint8).reshape(shape)


def raw(server: Running, model: str = "tiny", **parameters: Any) -> np.ndarray:
    return pixels_of(server.generate(model=model, format="raw", **parameters))


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found, expected)


def test_a_seed(server: Running, tiny: Generator) -> None:
    same(raw(server, seed=5, psi=0.7), tiny.generate([5], psi=0.7))


def test_several_seeds_are_drawn_as_one_batch(server: Running, tiny: Generator) -> None:
    same(raw(server, seeds="0-2,9", psi=-0.7), tiny.generate([0, 1, 2, 9], psi=-0.7))


def test_latents_and_styles(server: Running, tiny: Generator) -> None:
    z = tiny.latents([1, 2])
    w = tiny.map(z)
    expected = tiny.generate([1, 2], psi=0.5)
    same(raw(server, z=z.tolist(), psi=0.5), expected)
    same(raw(server, w=w.tolist(), psi=0.5), expected)
    same(raw(server, z=z[0].tolist()), tiny.generate([1]))


def test_styles_a_row(server: Running, tiny: Generator) -> None:
    """W+, as projections give it."""
    ws = np.random.RandomState(0).randn(1, tiny.spec.num_ws, tiny.spec.w_dim).astype(np.float32)
    same(raw(server, w=ws.tolist()), tiny.synthesize(ws, output="pixels"))


def test_cutoff(server: Running, stylegan1_bundle: Bundle) -> None:
    generator = Generator.load(stylegan1_bundle, threads=1)
    for cutoff in (None, 0, 3):
        same(raw(server, model="cutoff", seed=1, psi=0.5, cutoff=cutoff), generator.generate([1], 0.5, cutoff))
    same(raw(server, model="cutoff", seed=1, psi=0.5), generator.generate([1], 0.5))  # its own


def test_classes(server: Running, conditional_bundle: Bundle) -> None:
    generator = Generator.load(conditional_bundle, threads=1)
    both = raw(server, model="classes", seeds=[4, 5], **{"class": [0, 2]})
    w = generator.map(generator.latents([4, 5]), generator.labels([0, 2]))
    same(both, generator.synthesize(generator.truncate(w), output="pixels"))
    same(raw(server, model="classes", seed=4, **{"class": 1}), generator.generate([4], classes=1))


@pytest.mark.parametrize("noise", ["const", "none", 7])
def test_noise(server: Running, tiny: Generator, noise: str | int) -> None:
    same(raw(server, seed=3, noise=noise), tiny.generate([3], noise=noise))


def test_a_turn_and_a_move(server: Running, stylegan3_bundle: Bundle) -> None:
    generator = Generator.load(stylegan3_bundle, threads=1)
    transform = make_transform(30.0, (0.25, -0.1))
    found = raw(server, model="turned", seed=1, rotate=30, translate=[0.25, -0.1])
    same(found, generator.generate([1], transform=transform))
    same(raw(server, model="turned", seed=1), generator.generate([1]))  # the checkpoint's own


def test_a_mix_takes_rows_of_another_seed(server: Running, tiny: Generator) -> None:
    a, b = (tiny.truncate(tiny.map(tiny.latents([seed])), 0.7) for seed in (1, 2))
    expected = tiny.synthesize(tiny.mix([a, b], tiny.layer_mask([0, 1, 2, 3])), output="pixels")
    for layers in ("0-3", [0, 1, 2, 3], "coarse"):
        same(raw(server, seed=1, psi=0.7, mix={"seed": 2, "layers": layers}), expected)


def test_mixes_blend_one_after_the_other(server: Running, tiny: Generator) -> None:
    rows = tiny.spec.num_ws
    ws = [tiny.truncate(tiny.map(tiny.latents([seed]))) for seed in (1, 2, 3)]
    mask = np.zeros((rows, 3))
    mask[:, 0], mask[:, 1] = 0.75, 0.25
    mask[:2] *= 0.5
    mask[:2, 2] = 0.5
    terms = [{"seed": 2, "weight": 0.25}, {"seed": 3, "weight": 0.5, "layers": [0, 1]}]
    same(raw(server, seed=1, mix=terms), tiny.synthesize(tiny.mix(ws, mask), output="pixels"))


def test_an_edit_moves_styles_after_truncation(server: Running, tiny: Generator) -> None:
    direction = np.linspace(-1, 1, tiny.spec.w_dim, dtype=np.float32)
    ws = tiny.truncate(tiny.map(tiny.latents([1])), 0.7)
    ws[:, :2] += np.float32(1.5) * direction
    edit = {"direction": direction.tolist(), "amount": 1.5, "layers": [0, 1]}
    same(raw(server, seed=1, psi=0.7, edit=edit), tiny.synthesize(ws, output="pixels"))


def test_a_png_is_the_default(server: Running, tiny: Generator) -> None:
    answer = server.generate(model="tiny", seed=1)
    assert answer.headers["content-type"] == "image/png"
    same(np.asarray(Image.open(io.BytesIO(answer.content))), tiny.generate([1])[0])


@pytest.mark.parametrize(("accept", "kind"), [("image/jpeg", "JPEG"), ("image/webp;q=0.9, image/png;q=0.1", "WEBP")])
def test_other_formats_by_accept(server: Running, tiny: Generator, accept: str, kind: str) -> None:
    picture = Image.open(io.BytesIO(server.generate(accept, model="tiny", seed=1, quality=100).content))
    assert picture.format == kind
    difference = np.asarray(picture.convert("RGB")).astype(int) - tiny.generate([1])[0]
    assert np.abs(difference).mean() < 12  # lossy, of 16 px: still the same picture


def test_several_images_are_multipart(server: Running, tiny: Generator) -> None:
    answer = server.generate(model="tiny", seeds=[1, 2])
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts: Any = email.message_from_bytes(head + answer.content).get_payload()
    assert [part.get_filename() for part in parts] == ["seed0001.png", "seed0002.png"]
    pictures = [np.asarray(Image.open(io.BytesIO(part.get_payload(decode=True)))) for part in parts]
    same(np.stack(pictures), tiny.generate([1, 2]))


def test_several_images_as_zip(server: Running, tiny: Generator) -> None:
    answer = server.generate("application/zip", model="tiny", seeds=[1, 1], format="webp", quality=100)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["0000-seed0001.webp", "0001-seed0001.webp"]
    assert archive.testzip() is None


def test_a_grid_is_that_of_the_command_line(server: Running, tiny: Generator) -> None:
    answer = server.client.post("/v1/mix", json={"model": "tiny", "rows": "1-2", "cols": "3-5", "layers": "0-1"})
    sheet = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert sheet.shape == (3 * 16, 4 * 16, 3)
    assert (sheet[:16, :16] == 255).all()
    same(sheet[16:32, :16], tiny.generate([1])[0])
    a, b = (tiny.truncate(tiny.map(tiny.latents([seed]))) for seed in (2, 4))
    expected = tiny.synthesize(tiny.mix([a, b], tiny.layer_mask([0, 1])), output="pixels")[0]
    close = np.abs(sheet[32:48, 32:48].astype(int) - expected).max()
    assert close <= 1  # drawn in another batch


def test_a_bundle_that_mixes_takes_a_seed_a_source(mixing_bundle: Bundle) -> None:
    generator = Generator.load(mixing_bundle, threads=1)
    with running({"mixing": mixing_bundle}) as server:
        same(
            pixels_of(server.generate(seeds=[1, 2, 3, 4], psi=0.7, format="raw")), generator.generate([1, 2, 3, 4], 0.7)
        )
        assert "expected a multiple of 2" in server.generate(seeds=[1]).json()["error"]
        assert "its mask is fixed" in server.generate(seeds=[1, 2], mix={"seed": 3}).json()["error"]
        direction = {"direction": [0.5] * generator.spec.w_dim, "amount": 1.0}
        moved = generator.styles(generator.map(generator.latents([1, 2]))) + np.float32(0.5)
        found = pixels_of(server.generate(seeds=[1, 2], edit=direction, format="raw"))
        same(found, generator.synthesize(moved, output="pixels"))
        assert "leave layers out" in server.generate(seeds=[1, 2], edit=direction | {"layers": [0]}).json()["error"]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "nothing to draw is given, expected one of seed, seeds, z, w"),
        ({"seed": 1, "seeds": [2]}, "seed and seeds given, expected one of"),
        ({"seed": -1}, "seed is -1: input should be greater than or equal to 0"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"seed": "1"}, "seed is '1': input should be a valid integer"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seeds": "5-1"}, "runs backwards"),
        ({"seeds": []}, "no seed given"),
        ({"seeds": "0-99"}, "100 images asked for, 64 is the limit of a request"),
        ({"seed": 1, "psi": 1000}, "psi is 1000"),
        ({"seed": 1, "cutoff": 99}, "cutoff 99 is out of range"),
        ({"seed": 1, "class": 0}, "unconditional"),
        ({"seed": 1, "noise": "loud"}, "noise"),
        ({"seed": 1, "rotate": 5}, "can't be rotated or translated"),
        ({"seed": 1, "translate": [1]}, "translate"),
        ({"seed": 1, "mix": {"layers": "coarse"}}, "mix has nothing to mix in"),
        ({"seed": 1, "mix": {"seed": 2, "layers": "0-99"}}, "layer 6 is out of range, expected 0 to 5"),
        ({"seed": 1, "mix": {"seed": 2, "layers": "upper"}}, "layer list 'upper'"),
        ({"seed": 1, "mix": [{"seed": 2}] * 17}, "mix"),
        ({"seed": 1, "edit": {"direction": "smile", "amount": 1}}, "this bundle has none: give its numbers"),
        ({"seed": 1, "edit": {"direction": [1.0], "amount": 1}}, "direction has shape [1]"),
        (
            {"seed": 1, "edit": {"direction": [0.0] * 9, "amount": 101}},
            "the amount of an edit is 101, expected a finite",
        ),
        ({"seed": 1, "quality": 0}, "quality is 0"),
        ({"seed": 1, "colour": "red"}, "colour is not a field of this request"),
        ({"seed": 1, "model": "other"}, "model 'other' is not served, expected one of tiny, classes, cutoff, turned"),
        ({"seed": 1, "model": "classes"}, "this generator is conditional: give a class, 0 to 2"),
        ({"seed": 1, "model": "classes", "class": 3}, "class 3 is out of range, expected 0 to 2"),
        ({"seeds": [1, 2], "model": "classes", "class": [1]}, "1 classes given for 2 images"),
        ({"z": [[1.0], [1.0, 2.0]]}, "z"),
        ({"z": [1.0]}, "z has shape [1]"),
        ({"w": [[[1.0]]]}, "w has shape [1, 1] an image"),
        ({"z": [1e999]}, "z"),
    ],
)
def test_wrong_requests_get_one_line(server: Running, parameters: dict[str, object], told: str) -> None:
    body = json.dumps({"model": "tiny", **parameters})
    answer = server.client.post("/v1/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == (404 if parameters.get("model") == "other" else 400)
    assert list(answer.json()) == ["error"]
    assert told in answer.json()["error"]
    assert answer.json()["error"].isprintable()


def test_a_model_must_be_named_where_there_are_several(server: Running) -> None:
    answer = server.generate(seed=1)
    assert answer.status_code == 400
    assert "model is one of tiny, classes, cutoff, turned" in answer.json()["error"]


def test_what_is_not_acceptable(server: Running) -> None:
    answer = server.generate("text/html", model="tiny", seed=1)
    assert answer.status_code == 406
    assert "expected one of image/png, image/jpeg" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (b"{", {}, 400, "the body is not JSON"),
        (b"[]", {}, 400, "the body"),
        (b"\xff", {}, 400, "the body is not JSON"),
        (b'{"seed": NaN}', {}, 400, "seed is nan"),
        (b'{"z":' + b"[" * 40 + b"]" * 40 + b"}", {}, 400, "nests 41 deep, 32 is the limit"),
        (b'{"seed": 1}', {"content-type": "text/plain"}, 415, "expected application/json"),
        (b'{"seed": 1}', {"content-encoding": "br"}, 415, "expected gzip or deflate"),
        (b'{"seed": 1}', {"content-encoding": "gzip"}, 400, "not gzip"),
    ],
)
def test_wrong_bodies(server: Running, body: bytes, headers: dict[str, str], status: int, told: str) -> None:
    answer = server.client.post("/v1/generate", content=body, headers={"content-type": "application/json"} | headers)
    assert answer.status_code == status
    assert told in answer.json()["error"]
