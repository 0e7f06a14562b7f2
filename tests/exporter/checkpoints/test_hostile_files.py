"""Files of other kinds, safetensors and state dicts that make no sense: each refusal says what was found instead."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.checkpoints import limits, load_checkpoint, write_safetensors
from runtime.errors import CheckpointError
from tests.exporter.checkpoints.pickle_writing import pickled, plain
from tests.exporter.checkpoints.refusals import assert_refused, bounded
from tests.exporter.checkpoints.safetensors_files import metadata, ours, safetensors
from tests.exporter.checkpoints.state_dicts import rosinality_state, to_torch_stream
from tests.tiny import tiny_checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network"


FOREIGN = {
    "nothing": (b"", "the file is empty"),
    "a web page": (b"<!DOCTYPE html><html>Quota exceeded</html>", "a web page: the download did not give the file"),
    "a web page after blank lines": (b"\n\n  <html>Sign in</html>", "a web page"),
    "a git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "run 'git lfs pull'"),
    "a PNG image": (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG image"),
    "a JPEG image": (b"\xff\xd8\xff\xe0" + bytes(99), "a JPEG image"),
    "a gzip archive": (gzip.compress(b"pickle"), "a gzip archive: unpack it first"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "an ONNX model": (b"\x08\x08\x12\x07pytorch" + bytes(99), "an ONNX model"),
    "a JSON file": (b'{"G_ema": 1}', "a JSON file"),
    "a NumPy array": (b"\x93NUMPY\x01\x00v\x00", "a NumPy array"),
    "an empty zip archive": (b"PK\x05\x06" + bytes(18), "the file is of an unknown kind"),
    "a zip archive cut short": (b"PK\x03\x04" + bytes(99), "the archive is truncated or damaged"),
    "random bytes": (np.random.RandomState(0).bytes(4096), "the file is of an unknown kind"),
    "zeros": (bytes(4096), "the file is of an unknown kind"),
    "plain text": (b"hello world", "the file is of an unknown kind"),
    "control characters": (b"\x1b[2J\nError: all is well", "the file is of an unknown kind"),
    "one byte of a pickle": (b"\x80", "damaged"),
    "a pickled number": (pickled(plain(1)), "the pickle holds a int, expected a training snapshot"),
    "a torch stream cut short": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "truncated"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_named(kind: str, path: Path) -> None:
    data, message = FOREIGN[kind]
    path.write_bytes(data)
    assert_refused(path, message)


def test_a_missing_file_is_refused(path: Path) -> None:
    assert_refused(path, "can't be read (No such file or directory)")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "is a directory, expected a checkpoint file")


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    path.write_bytes(b"text")
    assert_refused(path / "network.pkl", "can't be read (Not a directory)")


def test_a_link_to_itself_is_refused(path: Path) -> None:
    path.symlink_to(path)
    assert_refused(path, "can't be read")


def test_a_pipe_is_refused_instead_of_waited_for(path: Path) -> None:
    os.mkfifo(path)
    assert_refused(path, "expected a checkpoint file")


def test_a_path_that_no_system_has_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is not a file name"):
        load_checkpoint("network\0.pkl")


def test_a_file_over_the_limit_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 10)
    path.write_bytes(bytes(11))
    assert_refused(path, "the file has 11 bytes, over the limit of 10")


# safetensors


def one_tensor(dtype: str, size: int, **header: Any) -> bytes:
    return safetensors(
        {**ours(), "x": {"dtype": dtype, "shape": [1], "data_offsets": [0, size], **header}}, bytes(size)
    )


SAFETENSORS = {
    "a header of 10 GB": (safetensors({}, announced=10 << 30), "header announces over 100,000,000 bytes"),
    "a header beyond the file": (safetensors({}, announced=4096), "truncated or damaged"),
    "a header that is no JSON": (safetensors(b"{not json}"), "truncated or damaged"),
    "a header nested without end": (safetensors(b'{"a":' * 50_000), "truncated or damaged"),
    "no metadata": (safetensors({}), "no specification of ours"),
    "foreign metadata": (safetensors({"__metadata__": {"format": "pt"}}), "no specification of ours"),
    "metadata that is no JSON": (safetensors(metadata("{")), "metadata is malformed"),
    "metadata that is a list": (safetensors(metadata("[]")), "metadata is malformed"),
    "metadata that is a number": (safetensors(metadata("1")), "metadata is malformed"),
    "metadata nested without end": (safetensors(metadata("[" * 100_000)), "metadata is malformed"),
    "metadata without a version": (safetensors(metadata("{}")), "metadata is malformed ('format_version')"),
    "metadata without a specification": (safetensors(metadata('{"format_version": 1}')), "malformed ('specification')"),
    "the first version without a field": (
        safetensors(ours(version=1, synthesis={})),
        "synthesis: the field 'architecture' is missing; convert the checkpoint again",
    ),
    "a newer version": (
        safetensors(ours(version=3)),
        "has format version 3, this release reads 1 and 2; upgrade stylegan-edge",
    ),
    "an older version": (
        safetensors(ours(version=0)),
        "has format version 0, this release reads 1 and 2; convert the checkpoint again",
    ),
    "a version of text": (safetensors(ours(version="1")), "format version '1', this release reads 1 and 2; convert"),
    "a version that is a truth value": (safetensors(ours(version=True)), "format version True, this release reads 1"),
    "a version that is a list": (safetensors(ours(version=[1])), "format version a list, this release reads 1 and 2"),
    "a version without end": (safetensors(ours(version="1" * 100_000)), "format version '111"),
    "a specification that is a list": (
        safetensors(metadata('{"format_version": 1, "specification": []}')),
        "specification: found list, expected an object with the fields of GeneratorSpec",
    ),
    "an unknown field": (safetensors(ours(colour="red")), "unknown field 'colour'"),
    "an unknown field named to forge a line": (safetensors(ours(**{"a\nError: \x1b[2J": 1})), "unknown field"),
    "an unknown generation": (
        safetensors(ours(generation="stylegan9")),
        "found 'stylegan9', expected one of stylegan1, stylegan2, stylegan3",
    ),
    "a generation that is a list": (safetensors(ours(generation=[])), "generation: found"),
    "a width of text": (safetensors(ours(mapping__z_dim="8")), "mapping.z_dim: found str '8', expected int"),
    "a negative width": (safetensors(ours(synthesis__channels=[8, -8])), "channels is -8, expected 1 to 16384"),
    "a negative latent": (safetensors(ours(mapping__z_dim=-1)), "z_dim is -1, expected 1 to 16384"),
    "a latent of a billion": (safetensors(ours(mapping__z_dim=10**9)), "z_dim is 1000000000"),
    "no channels": (safetensors(ours(synthesis__channels=[])), "synthesis blocks is 0, expected 1 to 11"),
    "a resolution of 2 ** 102": (safetensors(ours(synthesis__channels=[8] * 101)), "synthesis blocks is 101"),
    "a resolution beyond every bound": (safetensors(ours(synthesis__channels=[8] * 20_000)), "expected 1 to 11"),
    "a multiplier of NaN": (safetensors(ours(mapping__lr_multiplier=float("nan"))), "lr_multiplier is nan"),
    "a multiplier of 400 digits": (safetensors(ours(mapping__lr_multiplier=10**400)), "lr_multiplier"),
    "a clamp of infinity": (safetensors(ours(synthesis__conv_clamp=float("inf"))), "conv_clamp is inf"),
    "one tap": (safetensors(ours(synthesis__resample_filter=[1.0])), "resampling filter taps is 1, expected 2 to 32"),
    "no tensor": (safetensors(ours()), "lacks the tensor mapping.fc0.weight"),
    "a tensor beyond the file": (
        safetensors({**ours(), "x": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}),
        "truncated or damaged",
    ),
    "a tensor of another size than its shape": (one_tensor("F32", 4, shape=[2]), "truncated or damaged"),
    "a tensor that ends before it begins": (one_tensor("F32", 4, data_offsets=[4, 0]), "truncated or damaged"),
    "a foreign tensor": (one_tensor("F32", 4), "lacks the tensor"),
    "a bfloat16 tensor": (one_tensor("BF16", 2), "BF16"),
    "an 8-bit float tensor": (one_tensor("F8_E4M3", 1), "F8_E4M3"),
    "a tensor of complex numbers": (one_tensor("C64", 8), "C64"),
    "a tensor of an unknown type": (one_tensor("F99", 4), "truncated or damaged"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_safetensors_file_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    data, message = SAFETENSORS[case]
    path.write_bytes(data)
    assert_refused(path, message)


def test_a_specification_of_another_resolution_than_the_weights_is_refused(path: Path) -> None:
    write_safetensors(tiny_checkpoint(), path)
    data = path.read_bytes()
    path.write_bytes(data.replace(rb"\"channels\": [6, 5, 4]", rb"\"channels\": [6, 5]   "))
    assert_refused(path, "that no such network has")


# rosinality's state dicts


STATES = {
    "a list": ([], "the file holds a list, expected a dictionary of networks"),
    "nothing": ({}, "no generator: it holds nothing, expected 'g_ema'"),
    "a discriminator only": ({"d": rosinality_state()}, "no generator: it holds 'd'"),
    "an empty StyleGAN": ({"g_running": {}}, "no generator: it holds 'g_running', expected 'g_ema' or 'g_running'"),
    "keys that would forge a line": ({"d\nError: \x1b[2J": 1}, "no generator"),
    "no mapping": (rosinality_state(without=r"style\."), "are numbered [], expected 1, 2, ..."),
    "a mapping layer left out": (rosinality_state(without=r"style\.1\."), "are numbered [2], expected 1, 2, ..."),
    "a convolution left out": (rosinality_state(without=r"convs\.1\."), "are numbered [0, 2, 3], expected 0, 1, ..."),
    "an odd number of convolutions": (
        rosinality_state(without=r"convs\.3\."),
        "has 3 convolutions above 4x4, expected pairs",
    ),
    "a constant of two images": (
        {**rosinality_state(), "input.input": np.zeros((2, 8, 4, 4))},
        "the tensor input.input has shape [2, 8, 4, 4], expected 1 in front",
    ),
    "noise of two images": (
        {**rosinality_state(), "noises.noise_0": np.zeros((1, 2, 4, 4))},
        "the tensor noises.noise_0 has shape [1, 2, 4, 4], expected 1, 1 in front",
    ),
    "a noise weight for each channel": (
        {**rosinality_state(), "conv1.noise.weight": np.zeros(8)},
        "the tensor conv1.noise.weight has shape [8], expected 1 in front",
    ),
    "noise left out once": (
        rosinality_state(without=r"noises\.noise_2"),
        "lacks the tensor synthesis.b8.conv1.noise_const [8, 8], but has others' noise: expected all or none",
    ),
    "no filter": (rosinality_state(without=r"kernel"), "have no resampling filter"),
    "a filter that is not square": (rosinality_state(kernel=np.ones((4, 3))), "the resampling filter has shape [4, 3]"),
    "a filter of one column": (rosinality_state(kernel=np.ones((10_000, 1))), "resampling filter"),
    "a filter of no dimension": (rosinality_state(kernel=np.ones(())), "the resampling filter has shape []"),
    "a filter of three dimensions": (
        rosinality_state(kernel=np.ones((4, 4, 4))),
        "the resampling filter has shape [4, 4, 4]",
    ),
    "an empty filter": (rosinality_state(kernel=np.ones((0, 0))), "resampling filter"),
    "NaN": (rosinality_state(conv1_activate_bias=np.full(8, np.nan)), "b4.conv1.bias holds NaN or infinity"),
    "numbers beyond float32": (
        rosinality_state(conv1_activate_bias=np.full(8, 1e300)),
        "b4.conv1.bias holds NaN or infinity",
    ),
    "another shape": (rosinality_state(conv1_activate_bias=np.zeros(7)), "b4.conv1.bias has shape [7], expected [8]"),
    "an empty tensor": (
        rosinality_state(conv1_activate_bias=np.zeros(0)),
        "lacks the 1-dimensional tensor conv1.activate.bias",
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_dict_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    value, message = STATES[case]
    path.write_bytes(to_torch_stream(value))
    assert_refused(path, message)


def test_the_unspoilt_state_dict_loads(path: Path) -> None:
    path.write_bytes(to_torch_stream({"g_ema": rosinality_state()}))
    with bounded():
        assert load_checkpoint(path).spec.resolution == 16
