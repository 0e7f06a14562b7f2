"""`precision="auto"`: who is near enough, who is the fastest, and that only that one stays open."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime import Bundle, Generator, fastest
from runtime.backends import BackendName
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.errors import BackendUnavailableError, BundleError, GpuError, InputError
from runtime.fastest import SECONDS, TURNS, Sample, check_min_psnr, choose, qualified, race
from runtime.parity import FP16, FP32, Figures
from stylegan_edge.cli import run
from tests.conftest import export
from tests.tiny import tiny_checkpoint, tiny_spec


class Clock:
    """Stands still but for what is drawn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.drawn: list[str] = []

    def __call__(self) -> float:
        return self.now

    def sample(self, name: str, seconds: Sequence[float], images: int = 1) -> Sample:
        """Takes these seconds in turn, over and over."""
        calls = 0

        def draw() -> None:
            nonlocal calls
            self.now += seconds[calls % len(seconds)]
            calls += 1
            self.drawn.append(name)

        return Sample(draw, images)


def psnr_of(bundle: Bundle) -> float:
    return next(
        item.psnr or 0.0 for item in bundle.manifest.parity if (item.graph, item.precision) == ("synthesis", FP16)
    )


def judged(bundle: Bundle, **changes: Any) -> Any:
    """The bundle as it would be, had export measured something else of float16's synthesis."""
    manifest = replace(
        bundle.manifest,
        parity=tuple(
            replace(item, **changes) if (item.graph, item.precision) == ("synthesis", FP16) else item
            for item in bundle.manifest.parity
        ),
    )
    return SimpleNamespace(precisions=bundle.precisions, manifest=manifest)


def test_what_export_measured_decides_who_is_near_enough(half_bundle: Bundle) -> None:
    measured = psnr_of(half_bundle)
    assert measured > 60
    assert qualified(half_bundle, 50.0) == [FP32, FP16]
    assert qualified(half_bundle, measured) == [FP32, FP16]
    assert qualified(half_bundle, math.nextafter(measured, math.inf)) == [FP32]
    assert qualified(judged(half_bundle, psnr=49.9), 50.0) == [FP32]
    assert qualified(judged(half_bundle, psnr=None, max_abs=0.0), 50.0) == [FP32, FP16], "nothing differs"
    assert qualified(judged(half_bundle, psnr=None, max_abs=0.5), 50.0) == [FP32], "nothing could be measured"
    assert qualified(judged(half_bundle, finite=False), 50.0) == [FP32]
    assert qualified(judged(half_bundle, graph="pipeline"), 50.0) == [FP32], "nobody compared synthesis"


def test_every_comparison_counts(half_bundle: Bundle) -> None:
    def near(item: Figures) -> bool:
        return (item.graph, item.precision) == ("synthesis", FP16)

    again = [replace(item, batch=1, psnr=40.0) for item in half_bundle.manifest.parity if near(item)]
    manifest = replace(half_bundle.manifest, parity=(*half_bundle.manifest.parity, *again))
    assert qualified(SimpleNamespace(precisions=half_bundle.precisions, manifest=manifest), 50.0) == [FP32]  # type: ignore[arg-type]


def test_float32_qualifies_whatever_was_measured(tiny_bundle: Bundle) -> None:
    assert qualified(tiny_bundle, 1e6) == [FP32]


@pytest.mark.parametrize(
    ("times", "name"),
    [
        ({"fp32": 2.0, "fp16": 1.0}, "fp16"),
        ({"fp32": 1.0, "fp16": 2.0}, "fp32"),
        ({"fp32": 1.0, "fp16": 1.0}, "fp32"),
        ({"fp32": 1.09, "fp16": 1.0}, "fp32"),
        ({"fp32": 1.11, "fp16": 1.0}, "fp16"),
        ({"fp32": 3.0, "fp16": 1.02, "bf16": 1.0}, "fp16"),
        ({"fp16": 5.0}, "fp16"),
    ],
)
def test_the_fastest_is_taken_and_of_equals_the_more_exact(times: dict[str, float], name: str) -> None:
    assert choose(times) == name


def test_turns_are_interleaved_and_medians_taken() -> None:
    clock = Clock()
    # The first call of each warms up; a slow one among five does not move the median.
    samples = {
        "a": clock.sample("a", [0.5, 0.01, 0.01, 0.9, 0.01, 0.01]),
        "b": clock.sample("b", [0.5, *[0.04] * 5], 2),
    }
    assert race(samples, clock) == pytest.approx({"a": 0.01, "b": 0.02})
    assert "".join(clock.drawn) == "ab" + "abba" * 2 + "ab"
    assert len(clock.drawn) == 2 * (1 + TURNS)


def test_a_slow_network_is_drawn_for_a_bounded_time() -> None:
    clock = Clock()
    times = race({name: clock.sample(name, [SECONDS / 3]) for name in "ab"}, clock)
    assert times == pytest.approx({"a": SECONDS / 3, "b": SECONDS / 3})
    assert len(clock.drawn) == 2 + 4, "a turn to warm up, and two that are timed"
    clock = Clock()
    race({name: clock.sample(name, [10 * SECONDS]) for name in "ab"}, clock)
    assert len(clock.drawn) == 2 + 2, "one turn at least"


def test_what_can_not_draw_is_left_out() -> None:
    def fail() -> None:
        raise GpuError("out of memory")

    clock = Clock()
    assert list(race({"a": Sample(fail, 1), "b": clock.sample("b", [1.0])}, clock)) == ["b"]
    with pytest.raises(GpuError, match="out of memory"):
        race({"a": Sample(fail, 1), "b": Sample(fail, 1)}, clock)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, "many", None, True, [50], 10**400])
def test_a_bad_min_psnr_is_one_line(half_bundle: Bundle, value: Any) -> None:
    with pytest.raises(InputError, match=r"min_psnr is .*, expected a finite number of decibels, 0 or more"):
        Generator.load(half_bundle, precision="auto", min_psnr=value)
    with pytest.raises(InputError, match="min_psnr is"):
        check_min_psnr(value)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the graphs that were closed."""
    names: list[str] = []
    make, close = OnnxRuntimeGraph.__init__, OnnxRuntimeGraph.close

    def named(self: Any, path: Path, *arguments: Any) -> None:
        make(self, path, *arguments)
        self.name = path.name

    def recording(self: Any) -> None:
        names.append(self.name)
        close(self)

    monkeypatch.setattr(OnnxRuntimeGraph, "__init__", named)
    monkeypatch.setattr(OnnxRuntimeGraph, "close", recording)
    return names


def timed_as(times: dict[str, float]) -> Callable[[Any], dict[str, float]]:
    """In place of `race`: draws each once, and tells these times."""

    def race_(samples: dict[str, Sample]) -> dict[str, float]:
        for sample in samples.values():
            sample.draw()
        return {name: times[name] for name in samples}

    return race_


@pytest.mark.parametrize(
    ("times", "taken", "shut"),
    [
        ({FP32: 0.002, FP16: 0.001}, FP16, ["mapping.onnx", "synthesis.onnx"]),
        ({FP32: 0.001, FP16: 0.002}, FP32, ["mapping.onnx", "synthesis.fp16.onnx"]),
    ],
)
def test_the_one_taken_stays_open_alone(
    half_bundle: Bundle,
    closed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    times: dict[str, float],
    taken: str,
    shut: list[str],
) -> None:
    caplog.set_level(logging.INFO, "runtime")
    monkeypatch.setattr(fastest, "race", timed_as(times))
    with Generator.load(half_bundle, "onnxruntime", "auto") as generator:
        assert (generator.precision, generator.backend) == (taken, BackendName.ONNXRUNTIME)
        assert closed == shut
        told = f"fp32 {1e3 * times[FP32]:g}, fp16 {1e3 * times[FP16]:g}"
        assert f"precision {taken}: taken; median milliseconds an image: {told}" in caplog.text
        pixels = generator.generate([1, 2])
    assert len(closed) == 4
    with Generator.load(half_bundle, "onnxruntime", taken) as asked:
        assert asked.precision == taken
        assert np.array_equal(pixels, asked.generate([1, 2]))


def test_times_are_really_measured(half_bundle: Bundle, closed: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "runtime")
    with Generator.load(half_bundle, "onnxruntime", "auto", threads=1) as generator:
        assert generator.precision in (FP32, FP16)
        assert len(closed) == 2
        assert re.search(r"precision fp\d\d: taken; median milliseconds an image: fp32 \d\S*, fp16 \d", caplog.text)
        assert generator.generate([1]).shape == (1, 16, 16, 3)


def test_one_candidate_is_not_timed(half_bundle: Bundle, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> None:
        raise AssertionError("timed")

    monkeypatch.setattr(fastest, "race", never)
    assert Generator.load(half_bundle, "onnxruntime", "auto", min_psnr=200).precision == FP32
    assert Generator.load(tiny_bundle, "onnxruntime", "auto").precision == FP32


def test_what_does_not_load_is_passed_over(
    half_bundle: Bundle, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = OnnxRuntimeGraph.__init__

    def refusing(refused: str) -> Callable[..., None]:
        def make_(self: Any, path: Path, *arguments: Any) -> None:
            if refused in path.name:
                raise BackendUnavailableError(f"no {path.name}")
            make(self, path, *arguments)

        return make_

    monkeypatch.setattr(OnnxRuntimeGraph, "__init__", refusing("synthesis.onnx"))
    assert Generator.load(half_bundle, "onnxruntime", "auto").precision == FP16
    monkeypatch.setattr(OnnxRuntimeGraph, "__init__", refusing("synthesis"))
    with pytest.raises(BackendUnavailableError, match=r"no synthesis\.onnx"):
        Generator.load(half_bundle, "onnxruntime", "auto")


def test_a_failure_leaves_nothing_open(half_bundle: Bundle, closed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastest, "race", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Generator.load(half_bundle, "onnxruntime", "auto")
    assert sorted(closed) == ["mapping.onnx", "mapping.onnx", "synthesis.fp16.onnx", "synthesis.onnx"]


def test_labels_and_mixes_are_drawn(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_spec(c_dim=3))
    bundle = export(checkpoint, tmp_path / "bundle", precisions=(FP32, FP16), mask="A:0-2,B:3-5", noise="none")
    assert Generator.load(bundle, "onnxruntime", "auto").precision in (FP32, FP16)


def test_the_command_line(half_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--precision", "auto", "--threads", "1", "--backend", "onnxruntime"]
    assert run(["generate", str(half_bundle.path), "--seeds", "1", "-o", str(tmp_path / "a"), *chosen]) == 0
    more = ["--rows", "1", "--cols", "2", "--layers", "0-1", "-o", str(tmp_path / "mix.png"), "--min-psnr", "60"]
    assert run(["mix", str(half_bundle.path), *more, *chosen]) == 0
    few = ["--seeds", "1,2", "--frames", "3", "-o", str(tmp_path / "film.gif"), "--min-psnr", "0"]
    assert run(["interpolate", str(half_bundle.path), *few, *chosen]) == 0
    capsys.readouterr()
    assert not (tmp_path / "none").exists()
    for options, told in (
        (["--precision", "auto", "--min-psnr", "nan"], "'nan', expected a finite number of decibels, 0 or more"),
        (["--precision", "auto", "--min-psnr", "-3"], "expected a finite number of decibels, 0 or more"),
        (["--min-psnr", "60"], "--min-psnr is for --precision auto, not for fp32; leave one out"),
    ):
        assert run(["generate", str(half_bundle.path), "--seeds", "1", "-o", str(tmp_path / "none"), *options]) == 2
        line = capsys.readouterr().err
        assert told in line
        assert line.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_what_can_not_be_timed_is_not_auto(half_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(half_bundle.path), "--precision", "auto"]) == 2
    assert "has no precision 'auto', only fp32, fp16" in capsys.readouterr().err
    with pytest.raises(BundleError, match=r"has no graph 'synthesis\.fastest'"):
        Generator.load(half_bundle, precision="fastest")
