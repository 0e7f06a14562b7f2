"""TensorRT engines run on a made-up GPU: every image must be the one that ONNX Runtime draws from the same graph."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.backends import BackendName, RunOptions
from runtime.backends.tensorrt import open_plan
from runtime.backends.tensorrt.lane import MAX_SHAPES
from runtime.engine_record import EngineFlags, Flavour, Profile
from runtime.engines import read_engine
from runtime.errors import EngineMismatchError, GpuError, InputError, IntegrityError
from runtime.tensorrt.versions import load_library
from tests.made_up_gpu.machine import OLD, Machine, add_engine

SEEDS = list(range(11))


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that may be given engines."""
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle) -> np.ndarray:
    """What ONNX Runtime draws, an image at a time."""
    return np.concatenate([Generator.load(tiny_bundle, "onnxruntime").generate([seed], psi=0.7) for seed in SEEDS])


def worst(images: np.ndarray, expected: np.ndarray) -> int:
    """Largest difference, in 8-bit levels: batches of other sizes may round a value the other way."""
    assert images.shape == expected.shape
    return int(np.abs(images.astype(int) - expected).max())


@pytest.mark.parametrize("version", ["10.3.0", OLD])
def test_images_are_those_of_onnxruntime(
    bundle: Bundle, machine: Machine, expected: np.ndarray, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", machine.tensorrt(version))
    add_engine(bundle, version=version)
    with Generator.load(bundle, "tensorrt") as generator:
        assert (generator.backend, generator.device) == (BackendName.TENSORRT, "cuda")
        for _ in range(3):  # as it is, recorded, replayed
            assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1


def test_queued_runs_are_timed_and_change_nothing(bundle: Bundle, machine: Machine) -> None:
    engine = read_engine(add_engine(bundle, (Profile(1, 1, 2),)))
    graph = open_plan(bundle, load_library(Flavour.TENSORRT), engine, "mapping", RunOptions())
    inputs = {"z": np.random.RandomState(0).randn(2, bundle.spec.z_dim).astype(np.float32)}
    (expected,) = graph.run(inputs, ["w"])
    assert graph.time_queue(inputs, 1) > 0  # recorded
    assert graph.time_queue(inputs, 5) > 0  # replayed
    assert (graph.run(inputs, ["w"])[0] == expected).all()
    machine.fail("cuGraphLaunch", 719)
    with pytest.raises(GpuError, match="cuGraphLaunch"):
        graph.time_queue(inputs, 5)
    graph.close()


@pytest.mark.parametrize("profiles", [(Profile(1, 1, 1),), (Profile(2, 2, 3),), (Profile(4, 4, 4), Profile(1, 1, 2))])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 11])
def test_any_batch_is_split_or_padded_to_what_the_profiles_take(
    bundle: Bundle, machine: Machine, expected: np.ndarray, profiles: tuple[Profile, ...], count: int
) -> None:
    add_engine(bundle, profiles)
    with Generator.load(bundle, "tensorrt") as generator:
        for _ in range(3):
            assert worst(generator.generate(SEEDS[:count], psi=0.7, batch=count), expected[:count]) <= 1


def test_noise_may_be_one_for_all_images_or_one_for_each(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle, (Profile(1, 1, 2),))
    reference = Generator.load(bundle, "onnxruntime")
    ws = reference.truncate(reference.map(reference.latents([1, 2, 3])))
    random = np.random.RandomState(0)
    shapes = bundle.spec.noise_shapes
    with Generator.load(bundle, "tensorrt") as generator:
        for rows in (1, 3, 1, 3, 3):
            noise = [random.randn(rows, 1, *shape).astype(np.float32) for shape in shapes]
            image = generator.synthesize(ws, noise)
            assert np.abs(image - reference.synthesize(ws, noise)).max() < 1e-5


def test_noise_that_is_changed_in_place_is_seen(bundle: Bundle, machine: Machine) -> None:
    """Only what nobody can write into stays on the GPU between calls."""
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([1])))
        noise: list[Any] = [np.zeros((1, 1, *shape), np.float32) for shape in bundle.spec.noise_shapes]
        still = generator.synthesize(ws, noise)
        noise[-1][:] = 1
        assert np.abs(generator.synthesize(ws, noise) - still).max() > 1e-3
        const = generator.synthesize(ws, "const")
        assert (generator.synthesize(ws, noise) != const).any()
        assert (generator.synthesize(ws, "const") == const).all()


@pytest.mark.parametrize("which", ["conditional_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def test_other_generations_and_labels(
    which: str, machine: Machine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = Bundle(shutil.copytree(request.getfixturevalue(which).path, tmp_path / "bundle"))
    add_engine(bundle, (Profile(1, 1, 2),))
    classes = 1 if bundle.spec.c_dim else None
    expected = Generator.load(bundle, "onnxruntime").generate([1, 2, 3], classes=classes)
    with Generator.load(bundle, "tensorrt") as generator:
        assert worst(generator.generate([1, 2, 3], classes=classes), expected) <= 1


def test_a_thousand_frames_are_the_first(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle, graphs=("synthesis",))
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([3])))
        first = generator.synthesize(ws)
        live = machine.live
        for _ in range(1000):
            assert (generator.synthesize(ws) == first).all()
        assert machine.live == live + 1, "the recording, and nothing else, is new after the first frame"


def test_two_threads_draw_on_two_contexts(bundle: Bundle, machine: Machine, expected: np.ndarray) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt", contexts=2) as generator:
        differences: list[int] = []

        def draw(start: int) -> None:
            for seed in (start, start + 1) * 10:
                differences.append(worst(generator.generate([seed], psi=0.7), expected[seed : seed + 1]))

        threads = [threading.Thread(target=draw, args=(start,)) for start in (0, 2, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(differences) == 60
        assert max(differences) <= 1


def test_more_sets_of_shapes_than_are_kept(bundle: Bundle, machine: Machine, expected: np.ndarray) -> None:
    add_engine(bundle, (Profile(1, 1, MAX_SHAPES + 2),))
    with Generator.load(bundle, "tensorrt") as generator:
        for count in [*range(1, MAX_SHAPES + 3), 1]:
            seeds = [seed % len(SEEDS) for seed in range(count)]
            assert worst(generator.generate(seeds, psi=0.7, batch=count), expected[seeds]) <= 1


def test_without_cuda_graphs(bundle: Bundle, machine: Machine, expected: np.ndarray) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt", cuda_graphs=False) as generator:
        for _ in range(3):
            live = machine.live
            assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1
        assert machine.live == live


def test_a_plan_that_can_not_be_recorded_runs_without(
    bundle: Bundle, machine: Machine, expected: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    add_engine(bundle, graphs=("synthesis",))
    with Generator.load(bundle, "tensorrt") as generator:
        generator.generate(SEEDS[:2], psi=0.7)
        machine.fail("cuGraphInstantiate", 900)
        for _ in range(2):
            assert worst(generator.generate(SEEDS[:2], psi=0.7), expected[:2]) <= 1
    assert "runs without CUDA graphs" in caplog.text


def test_an_engine_of_synthesis_alone_maps_on_onnxruntime(
    bundle: Bundle, machine: Machine, expected: np.ndarray
) -> None:
    add_engine(bundle, graphs=("synthesis",))
    with Generator.load(bundle, "tensorrt") as generator:
        assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1


@pytest.mark.parametrize("beside", [(), ("mapping",)])
def test_a_float16_engine_maps_in_float32(
    beside: tuple[str, ...], machine: Machine, half_bundle: Bundle, tmp_path: Path
) -> None:
    """On the float32 engine's mapping where there is one, else on ONNX Runtime."""
    bundle = Bundle(shutil.copytree(half_bundle.path, tmp_path / "bundle"))
    add_engine(bundle, precision="fp16")
    if beside:
        add_engine(bundle, graphs=beside)
    expected = Generator.load(bundle, "onnxruntime", "fp16").generate([1, 2, 3], psi=0.7)
    with Generator.load(bundle, "tensorrt", "fp16") as generator:
        assert worst(generator.generate([1, 2, 3], psi=0.7), expected) <= 1
    with pytest.raises(EngineMismatchError, match="no tensorrt engine of synthesis in fp32"):
        Generator.load(bundle, "tensorrt")


def test_a_stripped_engine_takes_its_weights_from_the_graph(
    bundle: Bundle, machine: Machine, expected: np.ndarray
) -> None:
    add_engine(bundle, flags=EngineFlags(strip_weights=True))
    with Generator.load(bundle, "tensorrt") as generator:
        assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1


def test_another_gpu_than_the_first(bundle: Bundle, machine: Machine, expected: np.ndarray) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt", gpu=1) as generator:
        assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1
        assert generator.synthesize_on_gpu(generator.truncate(generator.map(generator.latents([1])))).gpu == 1


def test_figures_of_memory_and_latency(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle, (Profile(1, 1, 4),))
    with Generator.load(bundle, "tensorrt", contexts=2) as generator:
        memory, latency = generator.memory(), generator.latency(batch=3, runs=5)
    assert memory is not None
    pixels, image = 4 * 3 * 16 * 16, 4 * 4 * 3 * 16 * 16
    assert memory.buffers > 2 * (pixels + image)
    assert memory.activations == 2000
    assert memory.weights > 0
    assert (latency.batch, latency.runs) == (3, 5)
    assert 0 < latency.median <= latency.p95 <= latency.worst


def test_a_closed_generator_says_so(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt") as generator:
        pass
    generator.close()
    with pytest.raises(InputError, match="mapping graph was closed; load the bundle again"):
        generator.generate([1])


class TestWhatIsRefused:
    def test_no_engine(self, bundle: Bundle, machine: Machine) -> None:
        with pytest.raises(EngineMismatchError, match=r"no engine fits .* build one: stylegan-edge build"):
            Generator.load(bundle, "tensorrt")

    def test_an_engine_of_another_version(self, bundle: Bundle, machine: Machine) -> None:
        add_engine(bundle, version="10.13.3")
        with pytest.raises(EngineMismatchError, match=r"it is for TensorRT 10\.13\.3, this is 10\.3\.0"):
            Generator.load(bundle, "tensorrt")

    def test_a_changed_plan(self, bundle: Bundle, machine: Machine) -> None:
        plan = add_engine(bundle) / "synthesis.plan"
        data = bytearray(plan.read_bytes())
        data[-1] ^= 1
        plan.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"sha256 is not its record's.* --force"):
            Generator.load(bundle, "tensorrt")

    def test_no_memory(self, bundle: Bundle, machine: Machine) -> None:
        add_engine(bundle)
        for function in ("cuMemAlloc", "cuStreamCreate"):
            machine.fail(function, 2)
            with pytest.raises(GpuError, match=rf"CUDA_ERROR_OUT_OF_MEMORY to {function}; a smaller --batch"):
                Generator.load(bundle, "tensorrt")
            assert machine.live == 0
        with Generator.load(bundle, "tensorrt") as generator:
            machine.fail("cuMemHostAlloc", 2)
            with pytest.raises(GpuError, match="CUDA_ERROR_OUT_OF_MEMORY to cuMemHostAlloc"):
                generator.generate([1])
            generator.generate([1])

    def test_a_failed_call_leaves_the_generator_sound(
        self, bundle: Bundle, machine: Machine, expected: np.ndarray
    ) -> None:
        add_engine(bundle, graphs=("synthesis",))
        with Generator.load(bundle, "tensorrt") as generator:
            for function in ("cuMemcpyDtoHAsync", "cuMemcpyHtoDAsync", "cuStreamSynchronize"):
                machine.fail(function, 700)
                with pytest.raises(GpuError, match=f"CUDA_ERROR_ILLEGAL_ADDRESS to {function}"):
                    generator.generate(SEEDS, psi=0.7)
                assert worst(generator.generate(SEEDS, psi=0.7), expected) <= 1
