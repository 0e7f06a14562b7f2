"""The driver's interface: what its errors say, and that whose GPU it is stays the caller's business."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from runtime.cuda import DeviceBlock, Gpu, PinnedBlock, Stream, call, load_driver, on_gpu
from runtime.errors import BackendUnavailableError, GpuError
from tests.made_up_gpu.machine import Machine


def test_the_same_number_is_the_same_gpu(machine: Machine) -> None:
    assert Gpu.open(1) is Gpu.open(1)
    assert Gpu.open(0).free_memory() == 6 << 30


def test_a_thread_gets_its_gpu_back(machine: Machine) -> None:
    with Gpu.open(0).current(), pytest.raises(KeyError), Gpu.open(1).current():
        raise KeyError
    assert machine.current_gpus == 0


def test_the_first_gpu_is_used_anyway(machine: Machine) -> None:
    with on_gpu(0):
        assert machine.current_gpus == 0
    with on_gpu(1):
        assert machine.current_gpus == 1
    assert machine.current_gpus == 0


def test_a_result_is_there_when_the_stream_was_waited_for(machine: Machine) -> None:
    with Gpu.open(0).current():
        stream, block, source, target = Stream(), DeviceBlock(4), PinnedBlock(4), PinnedBlock(4)
        source.bytes[:] = [1, 2, 3, 4]
        stream.upload(block.address, source.address, 4)
        stream.download(target.address, block.address, 4)
        assert list(target.bytes) == [255] * 4
        stream.synchronize()
        assert list(target.bytes) == [1, 2, 3, 4]
        for item in (stream, block, source, target):
            item.close()
            item.close()


def test_a_gpu_that_is_not_there(machine: Machine) -> None:
    with pytest.raises(GpuError, match="CUDA_ERROR_INVALID_DEVICE to cuDeviceGet; see 'doctor'"):
        Gpu.open(2)


def test_a_driver_that_is_older_than_its_bindings(machine: Machine) -> None:
    driver = load_driver()
    with pytest.raises(GpuError, match=r"too old for its bindings .*install cuda-bindings<13"):
        call(driver.cuCtxGetDevice)


def test_a_driver_that_does_not_start(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    code = SimpleNamespace(name="CUDA_ERROR_NO_DEVICE")
    driver = SimpleNamespace(cuInit=lambda _: (code,), CUresult=SimpleNamespace(CUDA_SUCCESS=0))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    with pytest.raises(BackendUnavailableError, match="driver can't be used: it answers CUDA_ERROR_NO_DEVICE"):
        load_driver()
