"""What the models give is what the same call in Python gives, bit for bit, by HTTP and by gRPC."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from runtime import Generator
from runtime.transforms import make_transform
from tests.runtime.server.inference.asking import Asker

Generators = dict[str, Generator]

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_latents(asker: Asker, generators: Generators) -> None:
    tiny = generators["tiny"]
    z = tiny.latents([1, 2, 3])
    answer = asker.infer("tiny", {"z": z})
    styles = tiny.styles(tiny.map(z))
    same(answer.as_numpy("pixels"), tiny.synthesize(styles, output="pixels"))
    same(answer.as_numpy("image"), tiny.synthesize(styles))


@pytest.mark.parametrize("output", ["pixels", "image"])
def test_one_output(asker: Asker, generators: Generators, output: str) -> None:
    tiny = generators["tiny"]
    answer = asker.infer("tiny", {"z": tiny.latents([4])}, [output])
    same(answer.as_numpy(output), tiny.synthesize(tiny.styles(tiny.map(tiny.latents([4]))), output=output))
    assert answer.as_numpy({"pixels": "image", "image": "pixels"}[output]) is None


def test_a_factor_a_row(asker: Asker, generators: Generators) -> None:
    tiny = generators["tiny"]
    rows = tiny.spec.num_ws
    psi = np.ones((2, rows), np.float32)
    psi[0, :3], psi[1] = 0.5, np.linspace(-1, 1, rows)
    answer = asker.infer("tiny", {"z": tiny.latents([1, 2]), "psi": psi}, ["image"])
    w, mean = tiny.map(tiny.latents([1, 2]))[:, None], tiny.bundle.w_avg
    moved = mean + psi[:, :, None] * (w - mean)
    same(answer.as_numpy("image"), tiny.synthesize(np.where(psi[:, :, None] == 1, w, moved)))
    whole = asker.infer("tiny", {"z": tiny.latents([1]), "psi": psi[:1]}, ["pixels"]).as_numpy("pixels")
    same(whole, tiny.generate([1], psi=0.5, cutoff=3))


def test_labels(asker: Asker, generators: Generators) -> None:
    classes = generators["classes"]
    z, c = classes.latents([1, 2]), classes.labels([0, 2])
    expected = classes.synthesize(classes.styles(classes.map(z, c)), output="pixels")
    same(asker.infer("classes", {"z": z, "c": c}, ["pixels"]).as_numpy("pixels"), expected)
    one_for_all = asker.infer("classes", {"z": z, "c": c[1:]}, ["pixels"]).as_numpy("pixels")
    same(one_for_all, classes.generate([1, 2], classes=2))


def test_noise(asker: Asker, generators: Generators) -> None:
    tiny = generators["tiny"]
    random = np.random.default_rng(1)
    styles = tiny.styles(tiny.map(tiny.latents([1, 2])))
    shapes = tiny.spec.noise_shapes
    noise = [random.standard_normal((2, 1, *shape), np.float32) for shape in shapes]
    given = {f"noise_{index:02d}": array for index, array in enumerate(noise)}
    expected = tiny.synthesize(styles, noise, "pixels")
    same(asker.infer("tiny_synthesis", {"styles": styles, **given}, ["pixels"]).as_numpy("pixels"), expected)
    same(asker.infer("tiny", {"z": tiny.latents([1, 2]), **given}, ["pixels"]).as_numpy("pixels"), expected)
    # What is left out is the checkpoint's own; what is given for one image holds for all.
    some = asker.infer("tiny_synthesis", {"styles": styles, "noise_01": noise[1][:1]}, ["pixels"]).as_numpy("pixels")
    own = [array[None, None] for array in tiny.bundle.stored_noise]
    same(some, tiny.synthesize(styles, [own[0], noise[1][:1], *own[2:]], "pixels"))


def test_transforms(asker: Asker, generators: Generators) -> None:
    turned = generators["turned"]
    z = turned.latents([1, 2])
    styles = turned.styles(turned.map(z))
    transform = np.stack([make_transform(30), make_transform(0, (0.25, 0))])
    expected = turned.synthesize(styles, output="image", transform=transform)
    same(asker.infer("turned", {"z": z, "transform": transform}, ["image"]).as_numpy("image"), expected)
    given = {"styles": styles, "transform": transform}
    same(asker.infer("turned_synthesis", given, ["image"]).as_numpy("image"), expected)
    same(asker.infer("turned", {"z": z}, ["image"]).as_numpy("image"), turned.synthesize(styles))


def test_mapping(asker: Asker, generators: Generators) -> None:
    classes = generators["classes"]
    z, c = classes.latents([1, 2, 3]), classes.labels([0, 1, 2])
    same(asker.infer("classes_mapping", {"z": z, "c": c}).as_numpy("w"), classes.map(z, c))


def test_two_latents(asker: Asker, generators: Generators) -> None:
    mixing = generators["mixing"]
    given = {"z": mixing.latents([1, 3]), "z_1": mixing.latents([2, 4])}
    expected = mixing.generate([1, 2, 3, 4])
    same(asker.infer("mixing", given, ["pixels"]).as_numpy("pixels"), expected)
    same(asker.infer("mixing", {"seed": np.array([[1, 2], [3, 4]])}, ["pixels"]).as_numpy("pixels"), expected)
    psi = np.full((1, mixing.spec.num_ws), 0.5, np.float32)
    truncated = asker.infer("mixing", {**given, "psi": psi}, ["pixels"]).as_numpy("pixels")
    same(truncated, mixing.generate([1, 2, 3, 4], psi=0.5))
    psi[:, 3:] = 1  # the rows of the second source
    answer = asker.infer("mixing", {**given, "psi": psi}, ["image"]).as_numpy("image")
    w = mixing.map(mixing.latents([1, 2, 3, 4])).reshape(2, 2, -1)
    w[:, 0] = mixing.bundle.w_avg + np.float32(0.5) * (w[:, 0] - mixing.bundle.w_avg)
    same(answer, mixing.synthesize(w))


@pytest.mark.parametrize("datatype", FLOATS, ids=lambda kind: np.dtype(kind).name)
def test_every_float_is_a_latent(asker: Asker, generators: Generators, datatype: type) -> None:
    tiny = generators["tiny"]
    z: np.ndarray = tiny.latents([1, 2]).astype(datatype)
    answer = asker.infer("tiny", {"z": z}, ["pixels"]).as_numpy("pixels")
    same(answer, tiny.synthesize(tiny.styles(tiny.map(z.astype(np.float32))), output="pixels"))


@pytest.mark.parametrize("datatype", INTEGERS)
def test_every_whole_number_is_a_seed(asker: Asker, generators: Generators, datatype: str) -> None:
    seeds = np.array([[1], [127]], datatype)
    same(asker.infer("tiny", {"seed": seeds}, ["pixels"]).as_numpy("pixels"), generators["tiny"].generate([1, 127]))


def test_more_than_a_batch(asker: Asker, generators: Generators) -> None:
    tiny = generators["tiny"]
    seeds = list(range(tiny.batch_size() + 3))
    found = asker.infer("tiny", {"seed": np.array(seeds)[:, None]}, ["pixels"]).as_numpy("pixels")
    same(found, tiny.generate(seeds))


def test_an_id_comes_back(asker: Asker) -> None:
    answer = asker.infer("tiny_mapping", {"z": np.zeros((1, 7), np.float32)}, request_id="mine").get_response()
    told = (
        (answer.id, answer.model_name, answer.model_version)
        if asker.is_grpc
        else (answer["id"], answer["model_name"], answer["model_version"])
    )
    assert told == ("mine", "tiny_mapping", "1")


def test_parameters_that_mean_nothing_here(asker: Asker, generators: Generators) -> None:
    seeds = {"seed": np.array([[1]])}
    options = {"priority": 2, "timeout": 5_000_000, "sequence_id": 7, "parameters": {"colour": "blue", "speed": 2}}
    same(asker.infer("tiny", seeds, ["pixels"], **options).as_numpy("pixels"), generators["tiny"].generate([1]))
