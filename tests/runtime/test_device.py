"""The GPU as its driver describes it, read from a driver that is made up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from runtime import device
from runtime.device import Device, machine, read_device
from runtime.errors import BackendUnavailableError

SOURCE = Path(__file__).with_name("fake_driver.c")


def use_driver(monkeypatch: pytest.MonkeyPatch, folder: Path, *defines: str) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing, which builds the driver")
    library = folder / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", *defines, "-o", library, SOURCE], check=True)
    monkeypatch.setattr(device, "DRIVER", str(library))


def test_a_device_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_driver(monkeypatch, tmp_path)
    assert read_device() == Device("Orin", "8.7", 16, 8 << 30, "12.6", machine())


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_driver(monkeypatch, tmp_path)
    with pytest.raises(BackendUnavailableError, match="driver lists 1, number 1 was asked for"):
        read_device(1)


@pytest.mark.parametrize(
    ("define", "message"),
    [("-DDEVICES=0", "lists 0, number 0 was asked for"), ("-DINIT=100", r"cuInit .* error 100")],
)
def test_a_driver_without_a_device_is_named(
    define: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_driver(monkeypatch, tmp_path, define)
    with pytest.raises(BackendUnavailableError, match=message):
        read_device()


def test_no_driver_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "DRIVER", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(BackendUnavailableError, match=r"no driver: .*can't be loaded.* --backend onnxruntime"):
        read_device()
