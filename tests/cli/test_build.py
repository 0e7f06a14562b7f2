"""Wrong input to `build`, told before TensorRT is asked for anything."""

from __future__ import annotations

import sys

import pytest

from tests.cli.conftest import Refused

WRONG = {
    "build": "Missing argument 'BUNDLE'",
    "build missing": "missing: no such folder; expected a bundle",
    "build notes.txt": "notes.txt: is a file, expected a bundle's folder",
    "build {bundle} --batch 4,2,1": "batch '4,2,1': a profile is 4,2,1, expected MIN,OPT,MAX",
    "build {bundle} --batch many": "batch 'many' is not MIN,OPT,MAX like 1,1,8",
    "build {bundle} --batch 1 --batch 1,1,1": "a profile was given twice: 1,1,1 1,1,1",
    "build {bundle} --precision fp16": "has no graph in precision 'fp16'; export it again with that",
    "build {bundle} --graph discriminator": "has no graph 'discriminator' in fp32, only mapping, pipeline, synthesis",
    "build {bundle} --optimization-level 6": "6 is not in the range 0<=x<=5",
    "build {bundle} --workspace 0": "0 is not in the range 1<=x<=1048576",
    "build {bundle} --backend onnxruntime": "'onnxruntime' is not one of 'tensorrt', 'tensorrt-rtx'",
    "build {bundle} --hardware-compatible all": "'all' is not one of 'none', 'ampere+', 'same-capability'",
    "build {bundle} --timing-cache .": "'.' is a directory",
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_input_is_named(command: str, refused: Refused) -> None:
    assert WRONG[command] in refused(command)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("tensorrt", "tensorrt is not installed, and this command needs it: pip install 'stylegan-edge[tensorrt]'"),
        ("tensorrt-rtx", "tensorrt-rtx is not installed, and this command needs it: install the tensorrt_rtx wheel"),
    ],
)
def test_a_missing_tensorrt_is_named(
    backend: str, message: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorrt", "tensorrt_bindings", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    assert message in refused(["build", "{bundle}", "--backend", backend])
