"""The real tritonserver on a repository of every kind of bundle, asked by unmodified clients, against this process."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from exporter.triton import write_repository
from runtime import Bundle, Generator
from runtime.parity import FLOAT32, assert_same
from runtime.transforms import make_transform
from runtime.truncation import towards_mean
from tests.exporter.triton.bundles import KINDS, MAX_BATCH, PRECISIONS
from tests.exporter.triton.server import Server, running, unavailable

http = pytest.importorskip("tritonclient.http")
grpc = pytest.importorskip("tritonclient.grpc")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException
PROTOCOLS = ("http", "grpc")
SEEDS = (3, 1, 4)
CLASS = 2
PSI = 0.7
CLIENTS = 8
REQUESTS = 48

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Asking:
    """A client of each protocol."""

    server: Server
    clients: Mapping[str, tuple[Any, Any]]

    def close(self) -> None:
        for _, client in self.clients.values():
            client.close()

    def ask(self, model: str, inputs: Arrays, *outputs: str, protocol: str = "http") -> list[np.ndarray]:
        result = self.clients[protocol][1].infer(*self.request(model, inputs, outputs, protocol))
        return [result.as_numpy(name) for name in outputs]

    def ask_at_once(self, model: str, inputs: Sequence[Arrays], output: str, protocol: str) -> list[np.ndarray]:
        """The requests of `CLIENTS` clients, each in a thread of its own with a connection of its own."""
        requests = [self.request(model, item, (output,), protocol) for item in inputs]

        def ask(first: int) -> list[np.ndarray]:
            with self.clients[protocol][0].InferenceServerClient(getattr(self.server, protocol)) as client:
                return [client.infer(*item).as_numpy(output) for item in requests[first::CLIENTS]]

        with ThreadPoolExecutor(CLIENTS) as pool:
            shares = list(pool.map(ask, range(CLIENTS)))
        return [shares[index % CLIENTS][index // CLIENTS] for index in range(len(inputs))]

    def request(self, model: str, inputs: Arrays, outputs: Sequence[str], protocol: str) -> tuple[Any, ...]:
        module, given = self.clients[protocol][0], []
        for name, array in inputs.items():
            given.append(module.InferInput(name, list(array.shape), "FP32"))
            given[-1].set_data_from_numpy(array)
        wanted = [module.InferRequestedOutput(name) for name in outputs]
        return model, given, "1", wanted


def skip_without_server() -> None:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)


def clients_of(server: Server) -> Asking:
    clients = {
        "http": (http, http.InferenceServerClient(server.http)),
        "grpc": (grpc, grpc.InferenceServerClient(server.grpc)),
    }
    return Asking(server, clients)


@pytest.fixture(scope="module")
def asking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    skip_without_server()
    repository: Path = request.getfixturevalue("repository")
    (repository / "notes.txt").write_text("Files beside the models are nobody's business.")
    with running(repository, tmp_path_factory.mktemp("server")) as server:
        asking = clients_of(server)
        yield asking
        asking.close()


@pytest.fixture(scope="module")
def generators(bundles: Mapping[str, Bundle]) -> dict[str, Generator]:
    return {
        name: Generator.load(bundle, "onnxruntime", PRECISIONS.get(name, "fp32"), threads=1)
        for name, bundle in bundles.items()
    }


def latent_inputs(generator: Generator, images: int = len(SEEDS)) -> dict[str, np.ndarray]:
    """z, z_1, ... and c of the first seeds."""
    z = latents(generator, images)
    inputs = {"z" if index == 0 else f"z_{index}": z[index :: generator.seeds_per_image] for index in range(len(z))}
    inputs = {name: array for name, array in inputs.items() if int(name[2:] or 0) < generator.seeds_per_image}
    if generator.spec.c_dim:
        inputs["c"] = generator.labels(CLASS, images)
    return {name: np.ascontiguousarray(array) for name, array in inputs.items()}


def latents(generator: Generator, images: int) -> np.ndarray:
    """z of seeds, as many in turn as an image mixes."""
    seeds = [SEEDS[image % len(SEEDS)] + 10 * image for image in range(images)]
    return generator.latents([seed + 100 * k for seed in seeds for k in range(generator.seeds_per_image)])


def factors(generator: Generator, images: int = len(SEEDS)) -> np.ndarray:
    """`PSI` for the rows that the checkpoint's own code truncates."""
    psi = np.ones((images, generator.spec.num_ws), np.float32)
    psi[:, : generator.spec.default_cutoff] = PSI
    return psi


def drawn(generator: Generator, output: str, images: int = len(SEEDS)) -> np.ndarray:
    """The same in this process."""
    c = generator.labels(CLASS, images * generator.seeds_per_image) if generator.spec.c_dim else None
    styles = generator.styles(generator.map(latents(generator, images), c), PSI)
    return generator.synthesize(styles, output=output)


def check(generator: Generator, expected: np.ndarray, measured: np.ndarray) -> None:
    """The tolerance is float32's for every precision: both sides compute in the same one."""
    assert measured.shape == expected.shape
    assert measured.dtype == expected.dtype
    assert_same(expected, measured, float32_rounding=generator.spec.synthesis.float32_rounding)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", KINDS)
def test_the_ensemble_draws_the_same_images(
    name: str, protocol: str, asking: Asking, generators: Mapping[str, Generator]
) -> None:
    generator = generators[name]
    inputs = latent_inputs(generator) | {"psi": factors(generator)}
    pixels, image = asking.ask(name, inputs, "pixels", "image", protocol=protocol)
    check(generator, drawn(generator, "pixels"), pixels)
    check(generator, drawn(generator, "image"), image)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [1, MAX_BATCH])
def test_batches_from_one_to_the_largest(
    count: int, name: str, asking: Asking, generators: Mapping[str, Generator]
) -> None:
    generator = generators[name]
    inputs = latent_inputs(generator, count) | {"psi": factors(generator, count)}
    (pixels,) = asking.ask(name, inputs, "pixels")
    check(generator, drawn(generator, "pixels", count), pixels)


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2", "stylegan3"])
def test_every_row_of_every_image_has_its_own_factor(
    name: str, asking: Asking, generators: Mapping[str, Generator]
) -> None:
    generator = generators[name]
    psi = np.random.RandomState(5).uniform(-1, 1, (len(SEEDS), generator.spec.num_ws)).astype(np.float32)
    psi[1] = 1
    inputs = latent_inputs(generator)
    (pixels,) = asking.ask(name, inputs | {"psi": psi}, "pixels")
    styles = towards_mean(generator.map(inputs["z"])[:, None], generator.bundle.w_avg, psi[:, :, None])
    check(generator, generator.synthesize(styles, output="pixels"), pixels)


@pytest.mark.parametrize("name", KINDS)
def test_the_single_models_do_their_part(name: str, asking: Asking, generators: Mapping[str, Generator]) -> None:
    generator = generators[name]
    inputs = latent_inputs(generator)
    labels = {"c": inputs["c"]} if "c" in inputs else {}
    w = []
    for key in ("z", "z_1", "z_2")[: generator.seeds_per_image]:
        (found,) = asking.ask(f"{name}_mapping", {"z": inputs[key], **labels}, "w")
        expected = generator.map(inputs[key], labels.get("c"))
        assert np.abs(found - expected).max() <= FLOAT32.max_relative * np.ptp(expected)
        w.append(found)
    rows = np.stack(w, axis=1).reshape(-1, generator.spec.w_dim)
    given = {"w" if index == 0 else f"w_{index}": array for index, array in enumerate(w)}
    (styles,) = asking.ask(f"{name}_truncation", given | {"psi": factors(generator)}, "styles")
    assert (styles == generator.styles(rows, PSI)).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_synthesis_takes_noise_and_transforms_of_ones_own(
    protocol: str, asking: Asking, generators: Mapping[str, Generator]
) -> None:
    random = np.random.RandomState(6)
    generator = generators["stylegan2"]
    ws = generator.truncate(generator.map(latents(generator, len(SEEDS))))
    noise = [random.randn(len(SEEDS), 1, *shape).astype(np.float32) for shape in generator.spec.noise_shapes]
    given = {"styles": ws} | {f"noise_{index:02d}": array for index, array in enumerate(noise)}
    (pixels,) = asking.ask("stylegan2_synthesis", given, "pixels", protocol=protocol)
    check(generator, generator.synthesize(ws, noise, "pixels"), pixels)
    assert (pixels != generator.synthesize(ws, "const", "pixels")).any()
    generator = generators["stylegan3"]
    ws = generator.truncate(generator.map(latents(generator, len(SEEDS))))
    turned = np.stack([make_transform(10.0 * index, (0.1, 0.0)) for index in range(len(SEEDS))])
    (pixels,) = asking.ask("stylegan3_synthesis", {"styles": ws, "transform": turned}, "pixels", protocol=protocol)
    check(generator, generator.synthesize(ws, output="pixels", transform=turned), pixels)


def test_an_image_that_cant_be_truncated_so_is_no_picture_and_its_neighbours_are(
    asking: Asking, generators: Mapping[str, Generator]
) -> None:
    """Rows 0 to 3 of this mask share sources, so their factors must be the same."""
    generator, psi = generators["mixed"], factors(generators["mixed"])
    psi[1, 2] = 0.1
    pixels, image = asking.ask("mixed", latent_inputs(generator) | {"psi": psi}, "pixels", "image")
    assert np.isnan(image[1]).all()
    assert len(np.unique(pixels[1])) == 1
    check(generator, drawn(generator, "image")[[0, 2]], image[[0, 2]])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_many_clients_are_batched_and_each_gets_its_own(
    protocol: str, asking: Asking, generators: Mapping[str, Generator]
) -> None:
    generator, client = generators["stylegan2"], asking.clients["http"][1]
    z = generator.latents(range(REQUESTS))
    psi = np.linspace(-1, 1, REQUESTS, dtype=np.float32)[:, None].repeat(generator.spec.num_ws, axis=1)
    inputs = [{"z": z[[index]], "psi": psi[[index]]} for index in range(REQUESTS)]
    before = batches(client)
    pixels = np.concatenate(asking.ask_at_once("stylegan2", inputs, "pixels", protocol))
    styles = towards_mean(generator.map(z)[:, None], generator.bundle.w_avg, psi[:, :, None])
    check(generator, generator.synthesize(styles, output="pixels"), pixels)
    ran = batches(client) - before
    assert sum(size * count for size, count in ran.items()) == REQUESTS
    assert max(ran) > 1, "no two requests were batched"
    assert max(ran) <= MAX_BATCH


def batches(client: Any) -> Counter[int]:
    """How often synthesis ran, by images at once."""
    (statistics,) = client.get_inference_statistics("stylegan2_synthesis")["model_stats"]
    return Counter({int(item["batch_size"]): int(item["compute_infer"]["count"]) for item in statistics["batch_stats"]})


def test_a_running_server_takes_what_was_added_and_what_was_replaced(
    bundles: Mapping[str, Bundle], generators: Mapping[str, Generator], tmp_path: Path
) -> None:
    """The ensemble's name is enough: the models that it is made of are loaded with it."""
    skip_without_server()
    path = tmp_path / "models"
    write_repository(bundles["stylegan2"], path, "a")
    with running(path, tmp_path, "--model-control-mode=explicit", "--load-model=a") as server:
        asking = clients_of(server)
        for name, kind in (("b", "stylegan3"), ("a", "stylegan1")):
            generator = generators[kind]
            write_repository(bundles[kind], path, name, force=True)
            asking.clients["http"][1].load_model(name)
            inputs = latent_inputs(generator) | {"psi": factors(generator)}
            check(generator, drawn(generator, "pixels"), asking.ask(name, inputs, "pixels")[0])
        asking.close()


def _over_the_largest(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([array] * 2) for name, array in inputs.items()}


def _of_another_width(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"z": inputs["z"][:, 1:].copy()}


def _without_psi(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"z": inputs["z"]}


def _of_another_name(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"seed": inputs["z"]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_over_the_largest, "inference request batch-size must be <= 4"),
        (_of_another_width, r"unexpected shape for input 'z'.*Expected \[-1,7\], got \[3,6\]"),
        (_without_psi, "expected 2 inputs but got 1"),
        (_of_another_name, "expected 2 inputs but got 3"),
    ],
)
def test_what_the_configuration_does_not_allow_is_refused(
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    message: str,
    protocol: str,
    asking: Asking,
    generators: Mapping[str, Generator],
) -> None:
    inputs = change(latent_inputs(generators["stylegan2"]) | {"psi": factors(generators["stylegan2"])})
    with pytest.raises(InferenceServerException, match=message):
        asking.ask("stylegan2", inputs, "pixels", protocol=protocol)


@pytest.mark.parametrize(
    ("name", "protocol", "options"),
    [
        ("stylegan1", "http", ["--psi", str(PSI)]),
        ("mixed", "grpc", ["--psi", str(PSI), "--class", str(CLASS)]),
    ],
)
def test_the_sample_client_draws_what_generate_draws(
    name: str,
    protocol: str,
    options: list[str],
    asking: Asking,
    repository: Path,
    generators: Mapping[str, Generator],
    tmp_path: Path,
) -> None:
    """Its defaults are the model's: its name, and the rows that the checkpoint's own code truncates."""
    generator, seeds = generators[name], [5, 6, 9, 10, 11, 12]
    url = getattr(asking.server, protocol)
    command: list[str | Path] = [
        sys.executable,
        repository / name / "client.py",
        "--url",
        url,
        "--seeds",
        "5,6,9-12",
        *options,
    ]
    command += ["-o", tmp_path / "out", *["--grpc"] * (protocol == "grpc")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    classes = CLASS if generator.spec.c_dim else None
    expected = generator.generate(seeds, PSI, classes=classes)
    files = [Path(line) for line in done.stdout.splitlines()]
    assert sorted(tmp_path.glob("out/*")) == sorted(files)
    first = "seed0005-0006-0009.png" if name == "mixed" else "seed0005.png"
    assert files[0].name == first
    pictures = np.stack([imageio.imread(path).reshape(expected.shape[1:]) for path in files])
    check(generator, expected, pictures)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mixed", ["--seeds", "1,2"], "2 seeds given, expected a multiple of 3"),
        ("mixed", ["--seeds", "1-3", "--psi", "0.5", "--cutoff", "2"], "pass --cutoff 6"),
        ("mixed", ["--seeds", "1-3"], "give --class, 0 to 2"),
    ],
)
def test_the_sample_client_says_what_is_wrong(
    name: str, options: list[str], message: str, asking: Asking, repository: Path, tmp_path: Path
) -> None:
    command: list[str | Path] = [sys.executable, repository / name / "client.py", "--url", asking.server.http, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
