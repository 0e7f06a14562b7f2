"""Real engines on a real GPU: the right images, at every batch, for ever, from several threads, in flat memory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_contestants import to_host
from runtime import Generator
from runtime.backends import RunOptions
from runtime.cuda import Gpu
from runtime.device import read_device
from runtime.engine_record import Profile
from runtime.errors import BackendUnavailableError, EngineMismatchError
from runtime.graphs import OpenGraphs
from runtime.parity import all_passed
from runtime.records import to_plain
from runtime.verify import verify_golden
from tests.gpu.building import Built, draw, host_memory, styles

pytestmark = pytest.mark.gpu

BATCHES = (1, 2, 3, 8)
FRAMES = 1_000
"""Frames of which each must be the first, bit for bit."""
GPU_FRAMES = 10_000
"""Frames over which memory must stay flat."""
WARM_UP = 200
"""Frames before memory is read for the first time: contexts, recordings, pools and the driver's own caches."""
GPU_ALLOWANCE = 4 << 20
"""Bytes of GPU memory: the driver takes and reports it in blocks of 2 MiB."""
HOST_ALLOWANCE = 16 << 20
"""Bytes of host memory: what Python's and C's allocators may take in between. A leak of 2 KB a frame shows."""
LOADS = 20
"""How often a bundle is opened and closed."""
THREAD_FRAMES = 200


def worst(images: np.ndarray, expected: np.ndarray) -> int:
    """Largest difference, in 8-bit levels."""
    assert images.shape == expected.shape
    return int(np.abs(images.astype(int) - expected).max())


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_parity_in_every_precision(
    network: str, cuda_graphs: bool, build: Callable[..., Built], record_property: Callable[[str, Any], None]
) -> None:
    built = build(network)
    for precision in built.engines:
        graphs = OpenGraphs.open(built.bundle, built.backend, RunOptions(cuda_graphs=cuda_graphs), precision)
        try:
            figures = verify_golden(built.bundle, graphs, BATCHES)
        finally:
            graphs.close()
        record_property(precision, to_plain(figures))
        assert all_passed(figures), [item.failures() for item in figures]


def test_batches_across_two_profiles(network: str, build: Callable[..., Built]) -> None:
    built = build(network, (Profile(1, 1, 2), Profile(4, 4, 8)))
    seeds = list(range(19))
    with built.load() as generator:
        expected = draw(generator, seeds, batch=1)
        for count in (1, 2, 3, 4, 5, 8, 9, 11, 19):
            for _ in range(3):  # as it is, recorded, replayed
                assert worst(draw(generator, seeds[:count], batch=count), expected[:count]) <= 1


@pytest.mark.parametrize("profile", [Profile(1, 1, 1), Profile(2, 2, 3), Profile(4, 4, 4)])
def test_batches_that_no_profile_takes_are_split_or_padded(profile: Profile, build: Callable[..., Built]) -> None:
    with build("stylegan2").load() as generator:
        expected = draw(generator, range(9))
    with build("stylegan2", (profile,)).load() as generator:
        for count in (1, 2, 3, 5, 9):
            assert worst(draw(generator, range(count), batch=count), expected[:count]) <= 1


def test_noise_for_all_images_or_for_each(build: Callable[..., Built]) -> None:
    random = np.random.RandomState(0)
    with build("stylegan2").load() as generator:
        ws = styles(generator, [1, 2, 3])
        for rows in (1, 3, 1, 3):
            noise = [random.randn(rows, 1, *shape).astype(np.float32) for shape in generator.spec.noise_shapes]
            image = generator.synthesize(ws, noise)
            alone = [
                generator.synthesize(ws[row : row + 1], [item[row : row + 1] if rows > 1 else item for item in noise])
                for row in range(3)
            ]
            assert np.abs(image - np.concatenate(alone)).max() <= 1e-4 * np.ptp(image)


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_frames_are_the_first(network: str, cuda_graphs: bool, build: Callable[..., Built]) -> None:
    with build(network).load(cuda_graphs=cuda_graphs) as generator:
        ws = styles(generator, [3])
        first = generator.synthesize(ws)
        other = styles(generator, [4, 5])
        for frame in range(FRAMES):
            assert (generator.synthesize(ws) == first).all(), frame
            if frame % 100 == 0:  # other shapes in between
                generator.synthesize(other, 7)


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_two_threads_on_two_contexts(cuda_graphs: bool, build: Callable[..., Built]) -> None:
    with build("avatars-64").load(contexts=2, cuda_graphs=cuda_graphs) as generator:
        wanted = {seed: draw(generator, [seed]) for seed in range(6)}
        failures: list[str] = []

        def work(start: int) -> None:
            try:
                for frame in range(THREAD_FRAMES):
                    seed = start + frame % 2
                    if not (draw(generator, [seed]) == wanted[seed]).all():
                        failures.append(f"seed {seed}, frame {frame}")
            except Exception as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 2, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_memory_is_flat_over_frames(
    build: Callable[..., Built], gpu: Gpu, record_property: Callable[[str, Any], None]
) -> None:
    with build("avatars-64").load() as generator:
        batches = [styles(generator, range(count)) for count in (1, 2, 3)]

        def frames(count: int) -> None:
            for frame in range(count):
                if frame % 2:
                    generator.synthesize(batches[frame % 3], "const", "pixels")
                else:
                    generator.synthesize_on_gpu(batches[frame % 3], frame % 5)

        frames(WARM_UP)
        gc.collect()
        free, resident = gpu.free_memory(), host_memory()
        frames(GPU_FRAMES)
        gc.collect()
        taken = free - gpu.free_memory()
        grown = None if resident is None else (host_memory() or 0) - resident
    record_property("gpu_bytes", taken)
    record_property("host_bytes", grown)
    assert taken <= GPU_ALLOWANCE, "another process that uses this GPU fails this test too"
    assert grown is None or grown <= HOST_ALLOWANCE


def test_memory_comes_back_when_a_bundle_is_closed(
    build: Callable[..., Built], gpu: Gpu, record_property: Callable[[str, Any], None]
) -> None:
    built = build("avatars-64")

    def open_and_close() -> None:
        with built.load(contexts=2) as generator:
            for _ in range(3):
                draw(generator, [1, 2])
        gc.collect()

    for _ in range(3):
        open_and_close()
    free = gpu.free_memory()
    for _ in range(LOADS):
        open_and_close()
    taken = free - gpu.free_memory()
    record_property("gpu_bytes", taken)
    assert taken <= GPU_ALLOWANCE


def test_images_left_on_the_gpu(build: Callable[..., Built]) -> None:
    with build("avatars-64").load() as generator:
        for count in (1, 3, 11):
            ws = styles(generator, range(count))
            for output in ("pixels", "image"):
                kept = generator.synthesize_on_gpu(ws, output=output)
                generator.synthesize_on_gpu(ws[:1], 7, output)
                assert worst(to_host(kept), generator.synthesize(ws, output=output)) == 0


class TestSharedWithPyTorch:
    @pytest.fixture
    def torch(self) -> Any:
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip(f"this PyTorch, {torch.__version__}, has no CUDA that works here")
        return torch

    @pytest.fixture
    def generator(self, build: Callable[..., Built]) -> Any:
        with build("avatars-64").load() as generator:
            yield generator

    def test_dlpack(self, torch: Any, generator: Generator) -> None:
        ws = styles(generator, [1, 2])
        expected = generator.synthesize(ws, output="pixels")
        array = generator.synthesize_on_gpu(ws)
        address = array.address
        tensor = torch.from_dlpack(array)
        assert (tensor.device.type, tensor.device.index, tensor.data_ptr()) == ("cuda", 0, address)
        del array
        gc.collect()
        for seed in range(5):  # would write over memory that was given back too early
            generator.synthesize_on_gpu(styles(generator, [seed + 10, seed + 20]))
        assert (tensor.cpu().numpy() == expected).all()

    def test_cuda_array_interface(self, torch: Any, generator: Generator) -> None:
        ws = styles(generator, [1, 2])
        array = generator.synthesize_on_gpu(ws, output="image")
        tensor = torch.as_tensor(array, device="cuda")
        assert tensor.data_ptr() == array.address
        assert (tensor.cpu().numpy() == generator.synthesize(ws)).all()

    def test_styles_handed_in(self, torch: Any, generator: Generator) -> None:
        ws = styles(generator, range(11))
        given = torch.from_numpy(ws).cuda()
        torch.cuda.synchronize()
        kept = generator.synthesize_on_gpu(given)
        assert (to_host(kept) == generator.synthesize(ws, output="pixels")).all()

    def test_styles_that_pytorch_still_computes(self, torch: Any, generator: Generator) -> None:
        """Whoever hands styles over need not wait for them."""
        ws = styles(generator, [1])
        expected = generator.synthesize(ws, output="pixels")
        slow = torch.ones(8192, 8192, device="cuda")
        given = torch.zeros(ws.shape, device="cuda")
        source = torch.from_numpy(ws).cuda()
        torch.cuda.synchronize()
        for _ in range(20):
            slow = slow @ slow * 1e-4
        given += source + 0 * slow[0, 0].nan_to_num(0, 0, 0)
        assert (to_host(generator.synthesize_on_gpu(given)) == expected).all()


def test_the_second_gpu(build: Callable[..., Built]) -> None:
    try:
        read_device(1)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    built = build("stylegan2")
    with built.load() as generator:
        expected = draw(generator, range(5))
    try:
        second = built.load(gpu=1)
    except EngineMismatchError as error:
        pytest.skip(f"the second GPU is of another kind: {error}")
    with second:
        assert worst(draw(second, range(5)), expected) <= 1
        assert second.synthesize_on_gpu(styles(second, [1])).gpu == 1
