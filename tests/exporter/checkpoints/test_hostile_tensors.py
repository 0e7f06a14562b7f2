"""Tensors, arrays and storages that claim what the file does not hold: refused before anything is allocated."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.numpy_pickles import FROM_BUFFER, RECONSTRUCT, SCALAR, claimed_array, dtype_of
from tests.exporter.checkpoints.pickle_writing import (
    SYSTEM_INFORMATION,
    call,
    name,
    nested_lists,
    pickled,
    plain,
    storage,
    storage_identity,
    tensor,
    text,
    torch_stream,
    torch_zip,
)
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.snapshots import Call, small_snapshot, state, to_pickle

BILLION = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pt"


VIEWS = {
    "more elements than the storage": (((5,), (1,), 0), "reaches beyond its storage of 4 elements"),
    "an offset at the end": (((4,), (1,), 1), "reaches beyond its storage"),
    "an offset far away": (((1,), (1,), BILLION), "reaches beyond its storage"),
    "a stride that leaves the storage": (((2, 2), (3, 1), 0), "reaches beyond its storage"),
    "a negative offset": (((1,), (1,), -1), "reaches beyond its storage"),
    "a negative stride": (((4,), (-1,), 3), "size and stride do not fit"),
    "a negative size": (((-4,), (1,), 0), "size and stride do not fit"),
    "a stride of 0 for a gigabyte": (((BILLION,), (0,), 0), "repeats its storage of 4 elements"),
    "strides of 0 in many dimensions": (((1000,) * 6, (0,) * 6, 0), "repeats its storage"),
    "an empty tensor beyond every bound": (((0, 10**30), (1, 1), 0), "damaged"),
    "a size beyond every bound": (((10**30,), (1,), 0), "reaches beyond its storage"),
    "more sizes than strides": (((2, 2), (1,), 0), "size and stride do not fit"),
    "nine dimensions": (((1,) * 9, (1,) * 9, 0), "size and stride do not fit"),
    "a size of text": ((("4",), (1,), 0), "size and stride do not fit"),
    "a size that is a list": (([4], (1,), 0), "size and stride do not fit"),
    "a fractional size": (((4.0,), (1,), 0), "size and stride do not fit"),
    "a truth value for a size": (((True,), (1,), 0), "size and stride do not fit"),
    "an offset of text": (((4,), (1,), "0"), "damaged"),
    "a fractional offset": (((1,), (1,), 0.5), "damaged"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_stays_inside_its_storage(view: str, path: Path) -> None:
    (size, stride, offset), message = VIEWS[view]
    path.write_bytes(pickled(tensor(storage(), size, stride, offset)))
    assert_refused(path, message)


STORAGES = {
    "no storage": (tensor(plain(None)), "a tensor has no storage"),
    "text for a storage": (call(name("torch.storage", "_load_from_bytes"), plain("data")), "not made of bytes"),
    "no stream": (call(name("torch.storage", "_load_from_bytes"), plain(b"data")), "damaged"),
    "a stream cut short": (storage(data=b"\0\0"), "16 bytes announced, 2 left"),
    "a storage of a billion elements": (storage(count=BILLION), "announce 4,000,000,000 bytes in a file of"),
    "a storage of less than no elements": (storage(count=-1), "a storage's identity is malformed"),
    "a stream that holds a number": (
        call(name("torch.storage", "_load_from_bytes"), plain(torch_stream(plain(1), keys=[]))),
        "a storage holds a int",
    ),
    "a stream within a stream": (
        call(name("torch.storage", "_load_from_bytes"), plain(pickled(storage()))),
        "refers to torch.storage._load_from_bytes",
    ),
}


@pytest.mark.parametrize("case", STORAGES)
def test_a_storage_inside_a_pickle_holds_what_it_announces(case: str, path: Path) -> None:
    instructions, message = STORAGES[case]
    path.write_bytes(pickled(instructions))
    assert_refused(path, message, *[UnsafeCheckpointError] * message.startswith("refers to"))


IDENTITIES: dict[str, tuple[dict[str, Any], str]] = {
    "a billion elements": ({"count": BILLION}, "announce 4,000,000,000 bytes in a file of"),
    "less than no elements": ({"count": -1}, "a storage's identity is malformed"),
    "a fractional number of elements": ({"count": 4.0}, "a storage's identity is malformed"),
    "a number for a key": ({"key": 0}, "a storage's identity is malformed"),
    "a view of another storage": ({"more": [("0", 0, 4)]}, "shares storages as views, which is not supported"),
    "too short": ({"count": "4", "more": []}, "a storage's identity is malformed"),
    "too long": ({"more": [None, None]}, "a storage has no identity"),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_a_storage_of_a_torch_stream_has_a_sound_identity(case: str, path: Path) -> None:
    changes, message = IDENTITIES[case]
    path.write_bytes(torch_stream(tensor(storage_identity(**changes))))
    assert_refused(path, message)


def test_a_storage_type_that_is_text_is_refused(path: Path) -> None:
    path.write_bytes(torch_stream(tensor(plain(("storage", "FloatStorage", "0", "cpu", 4, None)) + b"Q")))
    assert_refused(path, "a tensor of type 'FloatStorage', expected one of torch's storages")


def test_a_storage_type_too_large_to_print_is_refused(path: Path) -> None:
    identity = (
        b"(" + text("storage") + nested_lists(40, width=2) + plain("0") + plain("cpu") + plain(4) + plain(None) + b"tQ"
    )
    path.write_bytes(torch_stream(tensor(identity)))
    assert_refused(path, "expected one of torch's storages")


@pytest.mark.parametrize("kind", ["BFloat16Storage", "QInt8Storage", "ComplexFloatStorage", "UntypedStorage"])
def test_a_storage_of_other_numbers_is_named(kind: str, path: Path) -> None:
    path.write_bytes(torch_stream(tensor(storage_identity(kind))))
    assert_refused(path, f"torch.{kind}", UnsafeCheckpointError)


STREAMS = {
    "a big-endian machine": (
        torch_stream(tensor(storage_identity()), information={**SYSTEM_INFORMATION, "little_endian": False}),
        "written on a big-endian machine, which is not supported",
    ),
    "an unknown version": (torch_stream(plain(1), version=1002), "not a torch.save stream of a known version"),
    "a missing storage": (torch_stream(tensor(storage_identity()), keys=[]), "not those that its tensors refer to"),
    "a foreign storage": (torch_stream(tensor(storage_identity()), keys=["1"]), "not those that its tensors refer to"),
    "a storage given twice": (torch_stream(tensor(storage_identity()), keys=["0", "0"]), "not those that its tensors"),
    "another length than announced": (
        torch_stream(tensor(storage_identity()), data=struct.pack("<q3f", 3, 1, 2, 3)),
        "storage 0 has 3 elements, 4 announced",
    ),
    "a negative length": (torch_stream(tensor(storage_identity()), data=struct.pack("<q", -1)), "has -1 elements"),
    "no data": (torch_stream(tensor(storage_identity()), data=b""), "8 bytes announced, 0 left"),
    "half of the data": (torch_stream(tensor(storage_identity()), data=struct.pack("<qf", 4, 1)), "16 bytes announced"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_torch_stream_holds_what_it_announces(case: str, path: Path) -> None:
    data, message = STREAMS[case]
    path.write_bytes(data)
    assert_refused(path, message)


def test_many_storages_can_not_announce_more_than_the_file_together(path: Path) -> None:
    padding = b"\0" * (1 << 20)
    tensors = [tensor(storage_identity(key=str(key), count=len(padding) // 4)) for key in range(400)]
    path.write_bytes(torch_stream(b"(" + b"".join(tensors) + b"l", data=padding))
    assert_refused(path, "announce")


def zipped(value: bytes, data: bytes = bytes(16), **members: bytes) -> dict[str, bytes]:
    return {"data.pkl": pickled(value), "data/0": data, "version": b"3\n", "byteorder": b"little", **members}


ZIPPED = tensor(storage_identity(more=()))
ZIPS = {
    "a big-endian machine": (zipped(ZIPPED, byteorder=b"big"), "big-endian machine, which is not supported"),
    "a missing storage": (zipped(tensor(storage_identity(key="1", more=()))), "its member data/1 is missing"),
    "a storage outside the archive": (
        zipped(tensor(storage_identity(key="../../../etc/passwd", more=()))),
        "its member data/../../../etc/passwd is missing",
    ),
    "a storage cut short": (zipped(ZIPPED, data=bytes(15)), "data/0 does not hold 4 elements of float32"),
    "a storage of a billion elements": (
        zipped(tensor(storage_identity(count=BILLION, more=()))),
        "data/0 does not hold 1000000000 elements",
    ),
    "a shared view": (zipped(tensor(storage_identity(more=[("0", 0, 4)]))), "a storage has no identity"),
    "no pickle": ({"version": b"3\n"}, "a zip archive, but not one that torch.save wrote"),
    "code": (zipped(call(name("posix", "system"), plain("true"))), "refers to posix.system"),
    "a truncated pickle": ({"data.pkl": b"\x80\x02}"}, "truncated"),
    "an empty pickle": ({"data.pkl": b""}, "truncated"),
    "arrays of NumPy": ({"weights.npy": b"\x93NUMPY"}, "a zip archive, but not one that torch.save wrote"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_torch_archive_holds_what_it_announces(case: str, path: Path) -> None:
    members, message = ZIPS[case]
    path.write_bytes(torch_zip(members))
    assert_refused(path, message, *[UnsafeCheckpointError] * (case == "code"))


def test_a_zip_bomb_is_not_inflated(path: Path) -> None:
    members = zipped(tensor(storage_identity(count=(256 << 20) // 4, more=())), data=bytes(256 << 20))
    path.write_bytes(torch_zip(members, zipfile.ZIP_DEFLATED))
    assert_refused(path, "is compressed, which torch.save never does")


def test_an_archive_with_two_pickles_is_ambiguous(path: Path) -> None:
    path.write_bytes(torch_zip({**zipped(ZIPPED), "other/data.pkl": pickled(plain(1))}))
    assert_refused(path, "not one that torch.save wrote")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_archive_with_one_name_twice_is_ambiguous(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(plain({})))
        archive.writestr("archive/data.pkl", pickled(plain({})))
    assert_refused(path, "not one that torch.save wrote")


def test_an_archive_with_a_changed_byte_fails_its_checksum(path: Path) -> None:
    data = bytearray(torch_zip(zipped(ZIPPED, data=b"weights of genius")))
    data[data.index(b"genius")] ^= 1
    path.write_bytes(bytes(data))
    assert_refused(path, "damaged")


def test_an_encrypted_archive_is_refused(path: Path) -> None:
    data = bytearray(torch_zip(zipped(ZIPPED)))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1
    path.write_bytes(bytes(data))
    assert_refused(path, "truncated or damaged")


def test_a_savez_archive_is_foreign(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(4))
    assert_refused(path, "a zip archive, but not one that torch.save wrote")


ARRAYS = {
    "objects, as NumPy pickles them": (np.array([{}, None], dtype=object), "an array of type 'O8', expected numbers"),
    "records": (claimed_array((1,), bytes(8), dtype_of("V8")), "an array of type 'V8', expected numbers"),
    "text": (claimed_array((1,), bytes(8), dtype_of("U2")), "an array of type 'U2', expected numbers"),
    "complex numbers": (claimed_array((1,), bytes(8), dtype_of("c8")), "an array of type 'c8', expected numbers"),
    "an unknown type": (claimed_array((1,), bytes(8), dtype_of("f9")), "an array of type 'f9', expected numbers"),
    "a type that is a list": (claimed_array((1,), bytes(8), dtype_of(["f4"])), "expected numbers"),
    "no type": (claimed_array((1,), bytes(4), "f4"), "expected numbers"),
    "more elements than bytes": (claimed_array((BILLION,), bytes(4)), "has 4 bytes"),
    "fewer elements than bytes": (claimed_array((1,), bytes(8)), "has 8 bytes"),
    "an empty array beyond every bound": (claimed_array((0, 10**30), b""), "damaged"),
    "a negative size": (claimed_array((-1,), bytes(4)), "not made of bytes and a shape"),
    "nine dimensions": (claimed_array((1,) * 9, bytes(4)), "not made of bytes and a shape"),
    "bytes that are text": (claimed_array((1,), "text"), "not made of bytes and a shape"),
    "no state": (Call(RECONSTRUCT, ()), "an array has no state"),
    "a scalar without bytes": (Call(SCALAR, (dtype_of("f8"),)), "damaged"),
    "a scalar of an object": (Call(SCALAR, (dtype_of("O"), {})), "expected numbers"),
    "a buffer of objects": (
        Call(FROM_BUFFER, (bytes(8), dtype_of("O"), (1,), "C")),
        "expected numbers",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_holds_numbers_and_what_its_shape_says(case: str, path: Path) -> None:
    array, message = ARRAYS[case]
    snapshot = small_snapshot()
    state(snapshot, "mapping")["_buffers"]["w_avg"] = array
    path.write_bytes(to_pickle(snapshot))
    assert_refused(path, message)
