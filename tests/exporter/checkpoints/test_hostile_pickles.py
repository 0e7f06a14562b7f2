"""Pickles that would run code or exhaust the reader: each is refused by name, and nothing of it is executed."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.checkpoints import limits
from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.pickle_writing import (
    PROTO,
    call,
    name,
    nested_lists,
    pickled,
    plain,
    stack_name,
    storage_identity,
    text,
    torch_stream,
)
from tests.exporter.checkpoints.refusals import assert_refused

SYSTEM = f"{os.system.__module__}.system"
ORDERED_DICT = name("collections", "OrderedDict")
EMPTY_TUPLE = b")"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


class _OsSystem:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def _python(command: str) -> bytes:
    return plain(f"__import__('os').system({command!r})")


def _memoised_names(command: str) -> bytes:
    hidden = text("posix") + b"\x94" + b"0" + text("system") + b"\x94" + b"0"  # MEMOIZE, POP
    return pickled(hidden, call(b"h\x00h\x01\x93", plain(command)))  # BINGET, BINGET, STACK_GLOBAL


def _nested_storage(command: str) -> bytes:
    return pickled(
        call(name("torch.storage", "_load_from_bytes"), plain(pickled(call(name("posix", "system"), plain(command)))))
    )


def _storage_of_a_tensor(command: str) -> bytes:
    stream = torch_stream(call(name("posix", "system"), plain(command)))
    return pickled(call(name("torch.storage", "_load_from_bytes"), plain(stream)))


def _getattr(command: str) -> bytes:
    method = call(name("builtins", "getattr"), name("posixpath", "os"), plain("system"))
    return pickled(call(method, plain(command)))


RUNNING: dict[str, tuple[Callable[[str], bytes], str]] = {
    **{
        f"os.system, protocol {protocol}": (lambda command, p=protocol: pickle.dumps(_OsSystem(command), p), SYSTEM)  # type: ignore[misc]
        for protocol in range(6)
    },
    "getattr": (_getattr, "builtins.getattr"),
    "eval": (lambda command: pickled(call(name("builtins", "eval"), _python(command))), "builtins.eval"),
    "exec": (lambda command: pickled(call(name("builtins", "exec"), _python(command))), "builtins.exec"),
    "a dotted name": (
        lambda command: pickled(call(stack_name("posixpath", "os.system"), plain(command))),
        "posixpath.os.system",
    ),
    "memoised texts": (_memoised_names, SYSTEM),
    "INST": (lambda command: pickled(b"(", plain(command), b"iposix\nsystem\n"), SYSTEM),
    "OBJ": (lambda command: pickled(b"(", name("posix", "system"), plain(command), b"o"), SYSTEM),
    "a pickle where a storage belongs": (_nested_storage, SYSTEM),
    "the value of a storage's stream": (_storage_of_a_tensor, SYSTEM),
    "code before an honest value": (
        lambda command: pickled(call(name("posix", "system"), plain(command)), b"0", plain({"G_ema": None})),
        SYSTEM,
    ),
}
"""Attacks that Python's own unpickler falls for."""


@pytest.mark.parametrize("attack", RUNNING)
def test_code_is_named_and_not_run(attack: str, path: Path) -> None:
    build, culprit = RUNNING[attack]
    path.write_bytes(build(f"touch {path}.ran"))
    assert_refused(
        path, f"refers to {culprit}, which no supported format contains; it was not run", UnsafeCheckpointError
    )
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("attack", RUNNING)
def test_the_attack_is_real(attack: str, path: Path) -> None:
    build, _ = RUNNING[attack]
    with contextlib.suppress(Exception):
        pickle.loads(build(f"touch {path}.ran"))
    assert os.path.exists(f"{path}.ran")


UNSAFE = {
    "NEWOBJ of a foreign class": (name("subprocess", "Popen") + EMPTY_TUPLE + b"\x81", "refers to subprocess.Popen"),
    "NEWOBJ_EX of a foreign class": (name("subprocess", "Popen") + b")}\x92", "refers to subprocess.Popen"),
    "a wrong spelling of a permitted name": (
        name("torch._utils", "_rebuild_tensor"),
        "refers to torch._utils._rebuild_tensor",
    ),
    "a torch name of the stream format": (name("torch", "load"), "refers to torch.load"),
    "a call on text": (
        call(text("os.system"), plain("true")),
        "calls a str, which no supported format does; it was not run",
    ),
    "a call on a list": (call(b"]"), "calls a list"),
    "a call on the result of a call": (call(call(ORDERED_DICT)), "calls a dict"),
}


@pytest.mark.parametrize("attack", UNSAFE)
def test_what_no_format_contains_is_unsafe(attack: str, path: Path) -> None:
    instructions, message = UNSAFE[attack]
    path.write_bytes(pickled(instructions))
    assert_refused(path, message, UnsafeCheckpointError)


def test_names_that_would_forge_a_line_are_shown_escaped(path: Path) -> None:
    path.write_bytes(pickled(stack_name("os\nError: all is well\x1b[2J", "system")))
    assert_refused(path, r"os\nError: all is well\x1b[2J", UnsafeCheckpointError)


def test_names_of_any_length_are_shown_shortened(path: Path) -> None:
    path.write_bytes(pickled(stack_name("o" * 100_000, "system")))
    assert_refused(path, "refers to ooo", UnsafeCheckpointError)


def _huge(opcode: bytes, layout: str = "<Q", count: int = 10 << 30) -> bytes:
    return opcode + struct.pack(layout, count) + b"data"


DAMAGED = {
    "OBJ of a permitted class": (b"(" + ORDERED_DICT + b"o", "instruction OBJ"),
    "NEWOBJ_EX of a permitted class": (ORDERED_DICT + b")}\x92", "instruction NEWOBJ_EX"),
    "an extension code": (b"\x82\x01", "instruction EXT1"),
    "a textual persistent identity": (b"P0\n", "instruction PERSID"),
    "a persistent identity": (plain("0") + b"Q", "refers to data outside itself"),
    "an out-of-band buffer": (b"\x97", "instruction NEXT_BUFFER"),
    "a frozen set": (b"(\x91", "instruction FROZENSET"),
    "a textual number": (b"I1\n", "instruction INT"),
    "state set on a function": (name("torch._utils", "_rebuild_parameter") + b"}b", "state is set on a Global"),
    "state set on a class": (ORDERED_DICT + b"}b", "state is set on a Global"),
    "state set on a list": (b"]}b", "state is set on a list"),
    "arguments that are no tuple": (ORDERED_DICT + b"]R", "arguments of collections.OrderedDict are not a tuple"),
    "arguments that do not fit": (call(ORDERED_DICT, plain(5)), "damaged"),
    "a storage type that is called": (call(name("numpy", "ndarray")), "a storage type is called"),
    "a module without a record": (
        call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), plain("")),
        "a module has no record",
    ),
    "a memo entry that was never put": (b"h\x05", "damaged"),
    "a far memo entry that was never put": (b"j\xff\xff\xff\xff", "damaged"),
    "a textual memo entry": (b"Np0\n", "instruction PUT"),
    "a memo entry of nothing": (b"q\x00", "damaged"),
    "a memoised mark": (b"(q\x00h\x00N\x85", "damaged"),
    "a missing mark": (b"NNt", "a mark is missing"),
    "a mark for a value": (b"(\x85", "a mark stands where a value belongs"),
    "an empty stack": (b"R", "damaged"),
    "values left over": (b"NN", "2 values left at its end, expected 1"),
    "no value": (b"", "0 values left at its end, expected 1"),
    "items appended to text": (text("list") + b"Na", "items are appended to a str"),
    "keys set on a list": (b"]NNs", "keys are set on a list"),
    "a key without a value": (b"}(Nu", "keys are set on a dict"),
    "a list for a key": (b"}]Ns", "a list for a key"),
    "a list in a set": (b"\x8f(]\x90", "a set holds something else than scalars"),
    "a list in a called set": (call(name("builtins", "set"), plain([[]])), "a set holds something else"),
    "a tuple for the key of an ordered dictionary": (call(ORDERED_DICT, plain((((1, 2), 3),))), "made with arguments"),
    "a global's name that is no text": (plain(1) + plain(2) + b"\x93", "a global's name is not text"),
    "an unknown instruction": (b"\xff", "damaged"),
    "text that is not UTF-8": (b"X\x01\x00\x00\x00\xff", "damaged"),
    "a name with an escape": (b"cpos\\x69x\nsystem\n", "a name holds an escape"),
    "a name that is not ASCII": (b"c\xff\xff\n\xff\n", "damaged"),
    "marks within marks": (b"(" * 300, "nested over 256 deep"),
    "tuples within tuples": (b")" + b"\x85" * 300, "nests tuples over 256 deep"),
    "lists within lists": (nested_lists(50_000), "holds a list, expected a training snapshot"),
    "a line without an end": (b"c" + b"x" * 5000, "a text line of over 1024 bytes"),
    "10 GB of bytes": (_huge(b"\x8e"), "10737418240 bytes announced"),
    "10 GB of text": (_huge(b"\x8d"), "10737418240 bytes announced"),
    "10 GB of mutable bytes": (_huge(b"\x96"), "10737418240 bytes announced"),
    "16 exabytes of bytes": (_huge(b"\x8e", count=2**64 - 1), "damaged"),
    "4 GB of bytes": (_huge(b"B", "<I", 2**32 - 1), "4294967295 bytes announced"),
    "4 GB of text": (_huge(b"X", "<I", 2**32 - 1), "4294967295 bytes announced"),
    "a number of 2 GB": (_huge(b"\x8b", "<i", 2**31 - 1), "2147483647 bytes announced"),
    "a number of less than no bytes": (_huge(b"\x8b", "<i", -5), "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_named(damage: str, path: Path) -> None:
    instructions, message = DAMAGED[damage]
    path.write_bytes(pickled(instructions))
    assert_refused(path, message)


def test_a_pickle_that_never_stops_is_truncated(path: Path) -> None:
    path.write_bytes(PROTO + b"N")
    assert_refused(path, "truncated")


def test_storages_are_refused_outside_a_torch_file(path: Path) -> None:
    path.write_bytes(pickled(storage_identity()))
    assert_refused(path, "refers to torch.FloatStorage", UnsafeCheckpointError)


@pytest.mark.parametrize(
    ("limit", "instructions", "message"),
    [("MAX_OPCODES", b"N0" * 60, "over 100 instructions"), ("MAX_STACK", b"N" * 101, "stacks over 100 values")],
)
def test_endless_work_is_cut_short(
    limit: str, instructions: bytes, message: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, 100)
    path.write_bytes(pickled(instructions))
    assert_refused(path, message)


def test_a_key_that_would_take_forever_to_hash_is_refused(path: Path) -> None:
    doubled = b")" + b"2\x86" * 20  # DUP, TUPLE2: 2 ** 20 leaves in 60 bytes; 60 would take centuries
    path.write_bytes(pickled(ORDERED_DICT, doubled, b"N\x86\x85\x85R"))
    assert_refused(path, "made with arguments")


def test_code_in_a_torch_stream_is_named_and_not_run(path: Path) -> None:
    path.write_bytes(torch_stream(call(name("posix", "system"), plain(f"touch {path}.ran"))))
    assert_refused(path, f"refers to {SYSTEM}", UnsafeCheckpointError)
    assert os.listdir(path.parent) == [path.name]
