"""`bench` as a user calls it."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from runtime import Bundle
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bench import BenchOptions, Outcome, own_entrants, run_bench
from runtime.bench.limits import Limits
from runtime.bench.memory import Memory
from stylegan_edge.cli import EXIT_CHECK_FAILED, run
from tests.cli.conftest import Refused

FAST = ["--runs", "3", "--seconds", "2", "--threads", "1", "--no-memory"]
LIMITS = Limits(threads=1, gmac_per_s=50.0, gbyte_per_s=10.0, cores=1.0)


@pytest.fixture(autouse=True)
def known_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's limit takes seconds to measure."""
    monkeypatch.setattr("runtime.bench.race.measure_limits", lambda _: LIMITS)


def test_the_table_has_a_line_for_each_batch(
    folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(tiny_bundle.path), *FAST, "--batch", "1,2"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"ONNX Runtime on the CPU, fp32 +(\d)", shown) == ["1", "2"]
    assert "Limit: 50 GMAC/s" in shown
    assert "ONNX Runtime with CUDA, fp32: left out: this ONNX Runtime has" in shown
    assert "p95 needs 20 runs, p99 100; the fewest here are 3." in shown
    assert "No memory: not asked for" in shown


def test_json_is_one_document(folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["bench", str(tiny_bundle.path), *FAST, "--json", "--backend", "onnxruntime", "--precision", "fp32"]) == 0
    )
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert document["passed"] is True
    assert document["limits"] == {"threads": 1, "gmac_per_s": 50.0, "gbyte_per_s": 10.0, "cores": 1.0}
    left_out, measured = document["lines"]
    assert (left_out["standing"], measured["standing"]) == ("left out", "measured")
    assert measured["timing"]["runs"] == 3
    assert measured["timing"]["p99_ms"] is None
    assert measured["load"]["share_of_product"] == pytest.approx(measured["load"]["gmac_per_s"] / 50)
    assert measured["parity"]["finite"] is True


def test_contestants_can_be_left_out(folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["bench", str(tiny_bundle.path), *FAST, "--skip", "tensorrt", "--skip", "cuda", "--skip", "openvino"]) == 0
    )
    shown = capsys.readouterr().out
    assert "left out" not in shown


def test_failed_parity_is_the_exit_code(
    folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_wrong(self: Any, inputs: Any, outputs: Any) -> list[np.ndarray]:
        return [array + array.dtype.type(1) for array in self._session.run(list(outputs), dict(inputs))]

    monkeypatch.setattr(OnnxRuntimeGraph, "run", run_wrong)
    assert run(["bench", str(tiny_bundle.path), *FAST]) == EXIT_CHECK_FAILED
    shown = capsys.readouterr().out
    assert "ONNX Runtime on the CPU, fp32, batch 1: FAILED PARITY: max |d|" in shown
    assert not re.search(r"ONNX Runtime on the CPU, fp32 +1 ", shown)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--backend cuda", "'cuda' is unknown, expected auto, tensorrt, tensorrt-rtx, onnxruntime"),
        ("--backend onnxruntime,", "'' is unknown"),
        ("--backend tensorrt", "nothing here can draw this bundle: TensorRT engine, fp32:"),
        ("--batch 0", "batch 0 is out of range, expected 1 to 256"),
        ("--batch 1,1000", "batch 1000 is out of range"),
        ("--batch many", "batch list 'many': 'many' is not a number or a range"),
        ("--precision fp7", "precision 'fp7' is not in"),
        ("--runs 0", "0 is not in the range"),
        ("--seconds 0", "0.0 is not in the range"),
        ("--seconds nan", "seconds nan"),
        ("--threads 0", "0 is not in the range"),
        ("--report notes.txt", "notes.txt: exists already; choose another name, or pass --force to replace it"),
        ("--report .", "is a directory"),
        ("--reference missing.pkl", "missing.pkl: can't be read (No such file or directory)"),
        ("--reference orig.safetensors", "orig.safetensors: is not the checkpoint that"),
        ("--skip fp32", "nothing here can draw this bundle"),
    ],
)
def test_wrong_input_is_named(options: str, message: str, refused: Refused) -> None:
    assert message in refused(["bench", "{bundle}", "--no-memory", *options.split()])


def test_a_bundle_that_is_none(refused: Refused) -> None:
    assert "notes.txt: is a file, expected a bundle's folder" in refused("bench notes.txt")


def test_a_missing_matplotlib_names_its_extra(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "pip install 'stylegan-edge[report]'" in refused(["bench", "{bundle}", "--report", "r.html"])


class Page(HTMLParser):
    """Its tags, text and images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def outcome(tiny_bundle: Bundle) -> Outcome:
    from runtime.backends import RunOptions

    options = BenchOptions(batches=(1, 2), runs=3, threads=1, memory=False)
    return run_bench(tiny_bundle, own_entrants(tiny_bundle, (), (), RunOptions(threads=1)), options)


def test_the_report_needs_nothing_else(folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert run(["bench", str(tiny_bundle.path), *FAST, "--batch", "1,2", "--report", "new/bench.html"]) == 0
    assert "Report: new/bench.html" in capsys.readouterr().out
    page = Page((folder / "new/bench.html").read_text())
    assert len(page.sources) == 2
    for source in page.sources:
        head, _, data = source.partition(",")
        assert head == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "ONNX Runtime on the CPU, fp32" in page.text
    assert len((folder / "new/bench.html").read_bytes()) < 1 << 20


def test_what_comes_from_files_is_escaped(outcome: Outcome) -> None:
    pytest.importorskip("matplotlib")
    from stylegan_edge.bench_report import render

    evil = "<script>alert(1)</script>"
    lines = tuple(dataclasses.replace(line, contestant=f"$x^$ & {evil}", reason=evil) for line in outcome.lines)
    memory = {evil: Memory(1, 1 << 20, None, None, evil)}
    page = Page(
        render(dataclasses.replace(outcome, bundle=evil, checkpoint=evil, lines=lines, memory=memory, generation=evil))
    )
    assert "script" not in page.tags
    assert page.text.count(evil) > 5


def test_a_report_without_limits_or_figures(outcome: Outcome) -> None:
    pytest.importorskip("matplotlib")
    from stylegan_edge.bench_report import render

    assert len(Page(render(dataclasses.replace(outcome, limits=None))).sources) == 1
    none = tuple(line for line in outcome.lines if line.timing is None)
    assert "left out" in Page(render(dataclasses.replace(outcome, lines=none))).text
