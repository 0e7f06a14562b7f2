"""Images that stay on the GPU, and what others on the GPU make of them."""

from __future__ import annotations

import ctypes
import gc
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Bundle, Generator
from runtime.cuda import DeviceBlock, Gpu, PinnedBlock, Stream
from runtime.device_array import MAX_IDLE, BlockPool, DeviceArray
from runtime.dlpack import CPU, CUDA, make_capsule
from runtime.engine_record import Profile
from runtime.errors import BackendUnavailableError, InputError
from tests.made_up_gpu.machine import Machine, add_engine


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle with an engine for two images at once, made where a GPU is."""
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def read(array: DeviceArray) -> np.ndarray:
    """A copy in host memory."""
    gpu, size = Gpu.open(array.gpu), int(np.prod(array.shape)) * array.dtype.itemsize
    with gpu.current():
        stream, pinned = Stream(), PinnedBlock(size)
        stream.download(pinned.address, array.address, size)
        stream.synchronize()
        copied: np.ndarray = pinned.view(array.shape, array.dtype).copy()
        pinned.close()
        stream.close()
    return copied


class OnGpu:
    """Somebody else's array on the GPU."""

    def __init__(self, values: np.ndarray, **changes: Any) -> None:
        self.block = DeviceBlock(values.nbytes)
        ctypes.memmove(self.block.address, values.ctypes.data, values.nbytes)
        interface = {"shape": values.shape, "typestr": values.dtype.str, "data": (self.block.address, False)}
        self.__cuda_array_interface__ = {**interface, "version": 3, **changes}


@pytest.mark.parametrize("output", ["image", "pixels"])
def test_images_on_the_gpu_are_those_on_the_host(bundle: Bundle, machine: Machine, output: str) -> None:
    add_engine(bundle, (Profile(1, 1, 2),))
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([1, 2, 3])))
        expected = generator.synthesize(ws, output=output)
        kept = generator.synthesize_on_gpu(ws, output=output)
        other = generator.synthesize_on_gpu(ws[:1], output=output)
        assert (kept.shape, kept.dtype) == (expected.shape, expected.dtype)
        assert (read(kept) == expected).all()
        assert (read(other) == expected[:1]).all()
        del kept, other


def test_memory_is_used_again_when_nobody_holds_it(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([1])))
        first = generator.synthesize_on_gpu(ws)
        address, interface = first.address, first.__cuda_array_interface__
        assert interface["data"] == (address, False)
        assert (interface["shape"], interface["typestr"], interface["version"]) == ((1, 16, 16, 3), "|u1", 3)
        second = generator.synthesize_on_gpu(ws)
        assert second.address != address
        del first
        assert generator.synthesize_on_gpu(ws).address == address
        del second


def test_only_so_many_idle_blocks_are_kept(machine: Machine) -> None:
    pool = BlockPool(Gpu.open(0))
    for size in range(1, 3 * MAX_IDLE):
        pool.borrow(size)
    assert machine.live <= MAX_IDLE + 1
    pool.close()


def test_a_block_that_others_saw_is_waited_for_before_it_is_used_again(machine: Machine) -> None:
    """They have dropped it, but may have queued work that still reads it."""
    pool = BlockPool(Gpu.open(0))
    waits = machine.waits
    pool.borrow(4)
    DeviceArray(pool.borrow(4), (4,), np.dtype(np.uint8), 0)
    assert machine.waits == waits
    DeviceArray(pool.borrow(4), (4,), np.dtype(np.uint8), 0).__dlpack__()
    gc.collect()
    first, second = pool.borrow(4), pool.borrow(4)
    assert machine.waits == waits + 1
    del first, second
    pool.close()


def test_a_lease_may_end_while_another_begins(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Python collects garbage in the middle of `borrow`."""
    pool = BlockPool(Gpu.open(0))
    held = [pool.borrow(4), pool.borrow(8)]
    pool.borrow(2)
    take = pool._take

    def take_and_drop(size: int) -> DeviceBlock | None:
        held.clear()
        return take(size)

    monkeypatch.setattr(pool, "_take", take_and_drop)
    assert pool.borrow(4).block.size == 4
    monkeypatch.undo()
    pool.close()


def test_an_array_outlives_its_generator(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([1])))
        expected = generator.synthesize(ws, output="pixels")
        kept = generator.synthesize_on_gpu(ws)
    assert machine.live == 1
    assert (read(kept) == expected).all()


def test_styles_may_be_on_the_gpu(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle, (Profile(1, 1, 2),))
    with Generator.load(bundle, "tensorrt") as generator:
        ws = generator.truncate(generator.map(generator.latents([1, 2, 3])))
        waits = machine.waits
        with Gpu.open(0).current():
            given = OnGpu(ws)
            wrong = OnGpu(ws, shape=(3, 1, 9)), OnGpu(ws, typestr="<f8"), OnGpu(ws, strides=(4, 4, 4))
        assert (read(generator.synthesize_on_gpu(given)) == generator.synthesize(ws, output="pixels")).all()
        assert machine.waits == waits + 1, "an interface without a stream, as PyTorch's, may not be complete"
        given.__cuda_array_interface__["stream"] = None
        generator.synthesize_on_gpu(given)
        assert machine.waits == waits + 1
        for item, message in zip(wrong, [r"float32 \[3, 1, 9\], expected float32", "is float64", "contiguous"]):
            with pytest.raises(InputError, match=message):
                generator.synthesize_on_gpu(item)
        with Gpu.open(0).current():
            for item in (given, *wrong):
                item.block.close()


def test_other_backends_keep_nothing_on_a_gpu(tiny_bundle: Bundle) -> None:
    generator = Generator.load(tiny_bundle, "onnxruntime")
    with pytest.raises(BackendUnavailableError, match="this is onnxruntime on cpu; load the bundle with"):
        generator.synthesize_on_gpu(np.zeros((1, 7, 9)))


class Described:
    """Host memory behind a capsule: what NumPy, as a consumer, reads of one."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CPU, 0)

    def __dlpack__(self, **_: Any) -> Any:
        return make_capsule(self.values.ctypes.data, self.values.shape, self.values.dtype, (CPU, 0), self)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_capsule_describes_its_memory_and_keeps_it(dtype: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    described = Described(values)
    holders = len(gc.get_referrers(described))
    taken = np.from_dlpack(described)
    assert (taken == values).all()
    assert (taken.dtype, taken.shape) == (values.dtype, values.shape)
    assert np.shares_memory(taken, values)
    assert len(gc.get_referrers(described)) > holders
    del taken
    assert len(gc.get_referrers(described)) == holders
    described.__dlpack__()  # a capsule that nobody takes
    gc.collect()
    assert len(gc.get_referrers(described)) == holders


def test_a_gpu_array_says_where_it_is(machine: Machine) -> None:
    pool = BlockPool(Gpu.open(1))
    array = DeviceArray(pool.borrow(12), (3,), np.dtype(np.float32), 1)
    assert array.__dlpack_device__() == (CUDA, 1)
    assert "dltensor" in repr(array.__dlpack__())
    for wanted in ({"copy": True}, {"dl_device": (CPU, 0)}):
        with pytest.raises(BufferError, match="no copy and the same device"):
            array.__dlpack__(**wanted)
    del array
    pool.close()
