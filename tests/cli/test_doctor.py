"""`doctor` on this machine."""

from __future__ import annotations

import json
import sys

import pytest

from stylegan_edge.cli import EXIT_CHECK_FAILED, run


def test_the_table_shows_versions_and_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.device.DRIVER", "libnothing.so")
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "onnxruntime" in shown
    assert "GPU            missing" in shown
    assert "no driver: libnothing.so can't be loaded" in shown


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["can_draw"] is True
    found = {item["what"]: item["found"] for item in document["findings"]}
    assert found["Python"] == sys.version.split()[0]


def test_a_machine_that_can_draw_nothing_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert run(["doctor"]) == EXIT_CHECK_FAILED
    shown = capsys.readouterr().out
    assert "pip install 'stylegan-edge[cpu]'" in shown
    assert "OpenVINO on the CPU" in shown
