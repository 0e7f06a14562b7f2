"""What a client draws by a server is what the bundle draws in this process, and wrong questions get plain answers."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter import export
from runtime import Bundle, Generator
from runtime.client import AsyncClient, Client, Edit, Mix, Retries
from runtime.errors import InputError, ServerError
from runtime.server.limits import Limits
from tests.runtime.client.conftest import serving
from tests.tiny import tiny_checkpoint


def test_seeds_are_drawn_as_in_this_process(server: str, tiny: Generator) -> None:
    expected = tiny.generate([3, 1, 4], psi=0.7, noise=5)
    with Client(server) as client:
        images = client.generate([3, 1, 4], psi=0.7, noise=5)
        one = client.generate([np.int64(3)], 0.7, noise=5)
    assert images.dtype == np.uint8
    assert (images == expected).all()
    assert (one == expected[:1]).all()


def test_every_way_to_name_an_image(server: str, tiny: Generator) -> None:
    z = tiny.latents(range(3))
    w = tiny.map(z)
    ws = np.repeat(w[:, None], tiny.spec.num_ws, axis=1)
    ws[:, 2:] = w[0]
    truncated = tiny.truncate(ws[:, 0], 0.5, 2)
    with Client(server) as client:
        assert (client.generate(z=z, psi=0.5) == tiny.generate([0, 1, 2], 0.5)).all()
        assert (client.generate(w=w, psi=0.5, cutoff=2) == tiny.synthesize(truncated, output="pixels")).all()
        assert (client.generate(w=ws) == tiny.synthesize(ws, output="pixels")).all()


def test_mixes_and_edits(server: str, tiny: Generator) -> None:
    first, second = (tiny.truncate(tiny.map(tiny.latents([seed])), 0.7) for seed in (1, 2))
    direction = np.linspace(-1, 1, tiny.spec.w_dim, dtype=np.float32)
    mixed = tiny.mix([first, second], tiny.layer_mask([0, 1]))
    mixed[:, 2:] += 1.5 * direction
    with Client(server) as client:
        image = client.generate(
            [1], 0.7, mix=Mix(seed=2, layers="0-1"), edit=[Edit(direction, 1.5, range(2, tiny.spec.num_ws))]
        )
    assert np.abs(image.astype(int) - tiny.synthesize(mixed, output="pixels")).max() <= 1  # summed in another order


def test_one_image_as_a_file(server: str, tiny: Generator) -> None:
    with Client(server) as client:
        png = client.image(7, psi=0.5)
        jpeg = client.image(7, psi=0.5, format="jpeg", quality=50)
    assert (np.asarray(Image.open(io.BytesIO(png))) == tiny.generate([7], 0.5)[0]).all()
    assert Image.open(io.BytesIO(jpeg)).format == "JPEG"


def test_a_grid_has_its_seeds_at_the_edges(server: str, tiny: Generator) -> None:
    with Client(server) as client:
        grid = client.mix_grid([1, 2], [3], layers="coarse", psi=0.7)
    size = tiny.spec.resolution
    assert grid.shape == (3 * size, 2 * size, 3)
    assert (grid[size : 2 * size, :size] == tiny.generate([1], 0.7)[0]).all()
    assert (grid[:size, size:] == tiny.generate([3], 0.7)[0]).all()


def test_models_say_what_is_served(server: str, tiny: Generator) -> None:
    with Client(server) as client:
        (model,) = client.models()
    assert (model.name, model.resolution, model.z_dim) == ("tiny", 16, tiny.spec.z_dim)
    assert model.backend == "onnxruntime"


def test_long_lists_are_asked_for_in_parts_and_come_in_order(tiny_bundle: Bundle, tiny: Generator) -> None:
    seeds = [*range(40), 7, 7]
    with serving({"tiny": tiny_bundle}, limits=Limits(max_images=5)) as address, Client(address) as client:
        parts = list(client.generate_batches(seeds, 0.7))
        with pytest.raises(InputError, match="5 is the limit of a request"):
            client.mix_grid(range(4), range(4), layers=None)
    assert [len(part) for part in parts] == [5] * 8 + [2]
    assert (np.concatenate(parts) == tiny.generate(seeds, 0.7)).all()


def test_a_full_queue_only_takes_longer(tiny_bundle: Bundle, tiny: Generator) -> None:
    limits, retries = Limits(max_images=4, max_queue=4), Retries(60, longest=0.1)
    with (
        serving({"tiny": tiny_bundle}, limits=limits) as address,
        Client(address, retries=retries, concurrency=3) as client,
    ):
        images = client.generate(range(24))
    assert (images == tiny.generate(range(24))).all()


def test_classes_one_for_all_or_one_an_image(conditional_bundle: Bundle) -> None:
    generator = Generator.load(conditional_bundle, "onnxruntime", threads=1)
    expected = [generator.generate([seed], classes=seed % 3) for seed in range(5)]
    with (
        serving({"classes": conditional_bundle}, limits=Limits(max_images=2)) as address,
        Client(address) as client,
    ):
        images = client.generate(range(5), classes=[0, 1, 2, 0, 1])
        assert (client.generate([1, 4], classes=1) == np.concatenate([expected[1], expected[4]])).all()
        with pytest.raises(InputError, match="2 classes given for 5 images"):
            client.generate(range(5), classes=[0, 1])
        with pytest.raises(InputError, match="this generator is conditional: give a class, 0 to 2"):
            client.generate([1])
    assert (images == np.concatenate(expected)).all()


def test_a_turned_stylegan3(stylegan3_bundle: Bundle) -> None:
    from runtime.transforms import make_transform

    generator = Generator.load(stylegan3_bundle, "onnxruntime", threads=1)
    with serving({"turned": stylegan3_bundle}) as address, Client(address) as client:
        turned = client.generate([1], rotate=30, translate=(0.1, 0))
    assert (turned == generator.generate([1], transform=make_transform(30, (0.1, 0)))).all()


def test_a_bundle_that_mixes_takes_as_many_seeds_an_image(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    mask = np.zeros((checkpoint.spec.num_ws, 2), np.float32)
    mask[:2, 0] = mask[2:, 1] = 1
    bundle = export(checkpoint, tmp_path / "mixing", mask=mask)
    expected = Generator.load(bundle, "onnxruntime", threads=1).generate(range(6))
    with serving({"mixing": bundle}, limits=Limits(max_images=2)) as address, Client(address) as client:
        assert (client.generate(range(6)) == expected).all()
        with pytest.raises(InputError, match="5 latents given, expected a multiple of 2"):
            client.generate(range(5))


def test_several_models(tiny_bundle: Bundle, conditional_bundle: Bundle, tiny: Generator) -> None:
    with serving({"a": tiny_bundle, "b": conditional_bundle}) as address:
        with Client(address, model="a") as client:
            assert (client.generate([1, 2]) == tiny.generate([1, 2])).all()
            assert client.generate([1], model="b", classes=0).shape == (1, 16, 16, 3)
        with Client(address) as client:
            for seeds in ([1], [1, 2]):
                with pytest.raises(InputError, match="several models are served, so one must be named"):
                    client.generate(seeds)
            with pytest.raises(InputError, match="'c' is not served, expected one of a, b"):
                client.generate([1, 2], model="c")


def test_a_token(tiny_bundle: Bundle) -> None:
    with serving({"tiny": tiny_bundle}, tokens=frozenset({"sesame"})) as address:
        with Client(address, token="sesame") as client:
            assert len(client.generate([1])) == 1
            with client.stream() as stream:
                assert stream.draw(1).width == 16
        with Client(address, token="wrong") as client:
            with pytest.raises(InputError, match="no token that this server knows"):
                client.generate([1])
            with pytest.raises(InputError, match="is the token right"), client.stream():
                pass


def test_a_stream_answers_frames(server: str, tiny: Generator) -> None:
    with Client(server) as client, client.stream() as stream:
        frame = stream.draw(1, psi=0.7, format="raw")
        assert (np.frombuffer(frame.data, np.uint8) == tiny.generate([1], 0.7).ravel()).all()
        assert (frame.format, frame.width, frame.height) == ("raw", 16, 16)
        numbers = [stream.send(seed) for seed in range(20)]
        came = [next(frame for frame in stream if frame.id == numbers[-1])]
        assert came[0].data[:2] == b"\xff\xd8"  # JPEG
        with pytest.raises(InputError, match="psi"):
            stream.draw(1, psi=1000)
        assert stream.draw(2).id == numbers[-1] + 2  # and goes on
    with pytest.raises(InputError, match="the stream is closed"):
        stream.send(1)


def test_the_same_awaited(server: str, tiny: Generator) -> None:
    async def ask() -> None:
        async with AsyncClient(server, model="tiny") as client:
            images = await client.generate(range(70), 0.7)
            assert (images == tiny.generate(range(70), 0.7)).all()
            assert (await client.image(1, format="webp"))[:4] == b"RIFF"
            assert (await client.mix_grid([1], [2], layers=[0])).shape == (32, 32, 3)
            assert [model.name for model in await client.models()] == ["tiny"]
            async with client.stream() as stream:
                frame = await stream.draw(1, 0.7, format="raw")
            assert (np.frombuffer(frame.data, np.uint8) == images[1].ravel()).all()
            with pytest.raises(InputError, match="psi is"):
                await client.generate([1], psi=float(200))

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "no seed given"),
        ({}, "nothing to draw is given"),
        ({"seeds": [1], "z": [[0.0] * 7]}, "seeds and z given, expected one of"),
        ({"seeds": [1.5]}, "seed 1.5 is not a whole number"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"z": [[0.0] * 3]}, r"z has shape \[3\], expected \[7\]"),
        ({"z": [["a"]]}, "z is not an array of numbers"),
        ({"z": [[float("nan")] * 7]}, "finite"),
        ({"seeds": [1], "classes": 1}, "unconditional"),
        ({"seeds": [1], "noise": "loud"}, "noise"),
        ({"seeds": [1], "edit": Edit("smile", 1.0)}, "direction 'smile' is unknown"),
        ({"seeds": [1], "mix": Mix()}, "mix has nothing to mix in"),
        ({"seeds": [1], "rotate": 10.0}, "can't be rotated"),
    ],
)
def test_what_is_refused(server: str, arguments: dict[str, Any], message: str) -> None:
    with Client(server) as client, pytest.raises(InputError, match=message):
        client.generate(**arguments)


def test_arguments_that_make_no_client(server: str) -> None:
    for url in ("", "127.0.0.1:8000", "ftp://host", "http://", "http://host:99999", "http://host/?a=b"):
        with pytest.raises(InputError, match="is not one of a server"):
            Client(url)
    for wrong in ({"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}, {"concurrency": 0}, {"token": "a\nb"}):
        with pytest.raises(InputError):
            Client(server, **wrong)
    with Client(server) as client:
        with pytest.raises(TypeError, match="unexpected argument 'batch'"):
            client.generate([1], batch=3)  # type: ignore[call-arg]
        with pytest.raises(InputError, match="the format 'bmp' is unknown, expected one of png"):
            client.image(1, format="bmp")


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:9", retries=Retries(1, base=0)) as client:
        with pytest.raises(ServerError, match=r"can't be reached.*\(asked 2 times\)"):
            client.generate([1])
        with pytest.raises(ServerError, match="is the server running"), client.stream():
            pass
