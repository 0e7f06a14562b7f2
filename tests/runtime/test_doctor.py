"""What `doctor` finds, on this machine and where things are missing."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from runtime import doctor
from runtime.backends import RunOptions, examine_ways
from runtime.doctor import Finding, can_draw, examine


def _found(name: str) -> Finding:
    return next(item for item in examine() if item.what == name)


def test_versions_are_those_installed() -> None:
    assert _found("numpy").found == version("numpy")
    assert _found("stylegan-edge").found == version("stylegan-edge")
    assert "CPU" in str(_found("onnxruntime").found)


def test_without_onnxruntime_and_openvino_nothing_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not can_draw(examine_ways(None, RunOptions()))
    assert "pip install 'stylegan-edge[cpu]'" in _found("onnxruntime").advice


def test_a_missing_driver_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.device.DRIVER", "libnothing.so")
    assert _found("GPU").found is None
    assert "libnothing.so can't be loaded" in _found("GPU").advice
    assert can_draw(examine_ways(None, RunOptions()))


def test_a_missing_package_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", _nothing_installed)
    assert _found("imageio") == Finding("imageio", None, "interpolate", "pip install 'stylegan-edge[video]'")
    assert _found("openvino").advice == "pip install 'stylegan-edge[openvino]'"
    assert "tensorrt_rtx wheel" in _found("tensorrt-rtx").advice


def _nothing_installed(name: str) -> str:
    raise PackageNotFoundError(name)
