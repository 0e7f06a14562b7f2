"""The parts of a build that need no TensorRT: options, versions, progress, float16 without strong typing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engines.builder import allow_float16, check_precision
from engines.options import BuildOptions, input_shapes, parse_profile
from engines.progress import ProgressReport
from runtime.engine_record import EngineFlags, Flavour, Hardware, Profile
from runtime.errors import BackendUnavailableError, InputError, MissingDependencyError
from runtime.manifest import TensorInfo
from runtime.tensorrt.versions import Feature, Library, load_library


def library(version: str, flavour: Flavour = Flavour.TENSORRT, *names: str) -> Library:
    """A TensorRT with these names alone."""
    module = SimpleNamespace()
    for name in names:
        owner, _, member = name.partition(".")
        if not hasattr(module, owner):
            setattr(module, owner, SimpleNamespace())
        if member:
            setattr(getattr(module, owner), member, name)
    return Library(module, flavour, version)


@pytest.mark.parametrize("text", ["", "a", "1,2", "0,1,1", "1,3,2", "2,1,3", "1,1,4097", "1,1,1,1", "1.5,2,3"])
def test_a_profile_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^batch "):
        parse_profile(text)


def test_profiles_are_read() -> None:
    assert parse_profile("1,2,4") == Profile(1, 2, 4)
    assert parse_profile("3") == Profile(3, 3, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profiles": ()}, "0 profiles were given, expected 1 to 16"),
        ({"profiles": (Profile(1, 1, 1), Profile(1, 1, 1))}, "given twice: 1,1,1 1,1,1"),
        ({"flags": EngineFlags(workspace=0)}, "workspace is 0, expected 1 to"),
        ({"flags": EngineFlags(optimization_level=6)}, "optimization level is 6, expected 0 to 5"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BuildOptions(**options)


def test_noise_may_be_one_for_all_images_whatever_the_profile() -> None:
    inputs = [
        TensorInfo("styles", "float32", ("batch", 6, 9)),
        TensorInfo("noise_00", "float32", ("noise_00_batch", 1, 4, 4)),
        TensorInfo("psi", "float32", (6,)),
    ]
    assert input_shapes(inputs, Profile(2, 4, 8)) == {
        "styles": ((2, 6, 9), (4, 6, 9), (8, 6, 9)),
        "noise_00": ((1, 1, 4, 4), (1, 1, 4, 4), (8, 1, 4, 4)),
    }


LACKING = {
    "10.3.0 same-capability": (
        library("10.3.0", Flavour.TENSORRT, "HardwareCompatibilityLevel.AMPERE_PLUS"),
        EngineFlags(hardware=Hardware.SAME_CAPABILITY),
        "TensorRT 10.3.0 has no --hardware-compatible same-capability, TensorRT 10.9 and newer have it",
    ),
    "8.6.1 strip": (
        library("8.6.1", Flavour.TENSORRT, "BuilderFlag.REFIT"),
        EngineFlags(strip_weights=True),
        "TensorRT 8.6.1 has no --strip-weights, TensorRT 10.0 and newer have it",
    ),
    "RTX ampere+": (
        library("1.2.0", Flavour.RTX, "HardwareCompatibilityLevel.AMPERE_PLUS"),
        EngineFlags(hardware=Hardware.AMPERE_PLUS),
        "TensorRT-RTX 1.2.0 has no --hardware-compatible ampere+",
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_an_option_that_a_version_lacks_is_refused_by_name(case: str) -> None:
    found, flags, message = LACKING[case]
    with pytest.raises(InputError) as caught:
        BuildOptions(flags=flags).check(found)
    assert str(caught.value).startswith(message)


def test_float8_is_refused_where_there_is_no_strong_typing() -> None:
    with pytest.raises(InputError, match=r"^TensorRT 8\.6\.1 has no float8, TensorRT 9\.0 and newer have it"):
        check_precision(library("8.6.1"), "fp8")
    check_precision(library("10.3.0", Flavour.TENSORRT, *Feature.FLOAT8.value.names), "fp8")
    for precision in ("fp32", "fp16", "int8"):
        check_precision(library("8.6.1"), precision)


def test_bfloat16_is_refused_where_there_is_no_strong_typing() -> None:
    with pytest.raises(InputError, match=r"^TensorRT 8\.6\.1 has no strong typing"):
        check_precision(library("8.6.1"), "bf16")
    check_precision(library("10.3.0", Flavour.TENSORRT, *Feature.STRONG_TYPING.value.names), "bf16")


def test_a_version_that_has_an_option_takes_it() -> None:
    found = library("10.9.0", Flavour.TENSORRT, *Feature.SAME_CAPABILITY.value.names)
    BuildOptions(flags=EngineFlags(hardware=Hardware.SAME_CAPABILITY)).check(found)


@pytest.mark.parametrize("version", ["8.5.3", "7.2", "12.0.1", "0"])
def test_a_version_that_is_not_supported_is_named(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", SimpleNamespace(__version__=version))
    with pytest.raises(BackendUnavailableError, match=rf"TensorRT {version} is installed, expected 8\.6 to 11"):
        load_library(Flavour.TENSORRT)


@pytest.mark.parametrize(("flavour", "words"), [(Flavour.TENSORRT, "JetPack"), (Flavour.RTX, "tensorrt_rtx wheel")])
def test_a_tensorrt_that_is_missing_is_named(flavour: Flavour, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_bindings", "tensorrt_rtx"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingDependencyError, match=words):
        load_library(flavour)


def test_progress_follows_nested_phases_and_never_goes_back() -> None:
    told: list[float] = []
    progress = ProgressReport(told.append)
    progress.start("outer", 2)
    progress.start("inner", 4)
    for step in range(4):
        assert progress.step("inner", step)
    progress.finish("inner")
    progress.step("outer", 0)
    progress.start("inner", 1)
    progress.step("inner", 0)
    progress.finish("outer")
    assert told == [0.125, 0.25, 0.375, 0.5, 1.0]
    progress.start("another", 0)
    progress.cancel()
    assert not progress.step("another", 0)


class FakeLayer:
    """A layer whose outputs have these types."""

    def __init__(self, *dtypes: str) -> None:
        self.outputs = [SimpleNamespace(dtype=dtype) for dtype in dtypes]
        self.num_outputs = len(dtypes)
        self.precision: str | None = None
        self.set: dict[int, str] = {}

    def get_output(self, index: int) -> SimpleNamespace:
        return self.outputs[index]

    def set_output_type(self, index: int, dtype: str) -> None:
        self.set[index] = dtype


def test_float16_without_strong_typing_pins_what_is_float32() -> None:
    layers = [FakeLayer("float"), FakeLayer("half"), FakeLayer("float", "float"), FakeLayer("int32"), FakeLayer()]
    network = SimpleNamespace(num_layers=len(layers), get_layer=lambda index: layers[index])
    flags: list[str] = []
    found = library("8.6.1", Flavour.TENSORRT, *Feature.FLOAT16_FLAG.value.names)
    found.module.DataType = SimpleNamespace(FLOAT="float")
    allow_float16(found, network, SimpleNamespace(set_flag=flags.append))
    assert flags == ["BuilderFlag.FP16", "BuilderFlag.OBEY_PRECISION_CONSTRAINTS"]
    assert [layer.precision for layer in layers] == ["float", None, "float", None, None]
    assert [layer.set for layer in layers] == [{0: "float"}, {}, {0: "float", 1: "float"}, {}, {}]
