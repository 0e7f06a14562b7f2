"""Read a pickle as plain data: a pickle machine that imports nothing and calls nothing but an allow-list of our own.

Python's unpickler, even with `find_class` restricted, still sets attributes on whatever it is given and allocates what
a file claims. This machine executes the opcodes that checkpoints contain, on lists, dictionaries and scalars. A GLOBAL
is looked up in a table; what it stands for is rebuilt by a function of this project, and a name that is not in the
table ends the reading with its name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from exporter.checkpoints import limits
from exporter.checkpoints.shown import shown
from runtime.errors import CheckpointError, UnsafeCheckpointError


@dataclass(frozen=True)
class Global:
    """A name that a pickle refers to: `module` and `name`, never the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Instance:
    """An object of a foreign class, as data: what it was built from and the state that was set on it."""

    type: Global
    args: tuple[Any, ...] = ()
    state: Any = None


Rebuild = Callable[..., Any]
AllowList = Mapping[tuple[str, str], Rebuild]
"""What each permitted global does when a pickle calls it. Functions take the pickle's arguments."""


def empty_dictionary(*args: Any) -> dict[Any, Any]:
    """What OrderedDict and its like are rebuilt as; their items follow as instructions of their own."""
    if args:
        raise CheckpointError("the pickle is damaged: a dictionary is made with arguments")
    return {}


class BoundedReader:
    """A file that refuses to read more than it has, so that a claimed length never becomes an allocation."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        """Read exactly `count` bytes (fewer only at the very end of a one-byte read, as `pickletools` expects)."""
        left = self._size - self._file.tell()
        if count > max(left, 1):
            raise CheckpointError(f"the file is truncated or damaged: {count} bytes announced, {left} left")
        return self._file.read(count)

    def readline(self) -> bytes:
        """Read a line of bounded length."""
        line = self._file.readline(limits.MAX_LINE_BYTES + 1)
        if len(line) > limits.MAX_LINE_BYTES:
            raise CheckpointError(f"the pickle has a text line of over {limits.MAX_LINE_BYTES} bytes")
        if b"\\" in line:  # `pickletools` would decode it, and no name that we know has one
            raise CheckpointError("the pickle is damaged: a name holds an escape")
        return line

    def tell(self) -> int:
        """Position in the file."""
        return self._file.tell()


@dataclass
class _Mark:
    """Where a MARK opcode stands on the stack."""


_MARK = _Mark()
_SCALARS = (str, bytes, int, float, bool, type(None))
_KEYS = (str, int)


def load_pickle(reader: BoundedReader, allowed: AllowList, persistent_load: Callable[[Any], Any] | None = None) -> Any:
    """Read one pickle from `reader` and return its value as plain data.

    Raises UnsafeCheckpointError where it names a global outside `allowed`, and CheckpointError where it is truncated,
    malformed, or exceeds a limit.
    """
    machine = _Machine(allowed, persistent_load)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(reader)):  # type: ignore[arg-type]
            if count >= limits.MAX_OPCODES:
                raise CheckpointError(f"the pickle has over {limits.MAX_OPCODES:,} instructions")
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except CheckpointError:
        raise
    except RecursionError:
        raise CheckpointError("the pickle is nested too deeply") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError) as error:
        raise CheckpointError(f"the pickle is truncated or damaged ({_one_line(error)})") from None
    raise CheckpointError("the pickle ends without its last instruction: the file is truncated")


def _one_line(error: Exception) -> str:
    return shown(" ".join(str(error).split())) or type(error).__name__


@dataclass
class _Machine:
    allowed: AllowList
    persistent_load: Callable[[Any], Any] | None
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    marks: int = 0
    tuple_depths: dict[int, int] = field(default_factory=dict)
    tuples: list[tuple[Any, ...]] = field(default_factory=list)
    """Keeps every tuple alive, so that the identities in `tuple_depths` stay theirs."""

    def step(self, name: str, argument: Any) -> None:
        """Execute one opcode."""
        if name in _PUSHES:
            self.push(argument)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _IGNORED:
            if name == "INST":  # obsolete, but it names a global: say which
                self.resolve(*str(argument).split(" ", 1))
            raise CheckpointError(f"the pickle uses the instruction {name}, which no supported format contains")

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise CheckpointError(f"the pickle is damaged: {len(self.stack)} values left at its end, expected 1")
        return self.stack[0]

    def push(self, value: Any) -> None:
        if len(self.stack) >= limits.MAX_STACK:
            raise CheckpointError(f"the pickle stacks over {limits.MAX_STACK:,} values")
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise CheckpointError("the pickle is damaged: a mark stands where a value belongs")
        return value

    def drop(self, _: Any) -> None:
        self.stack.pop()

    def drop_to_mark(self, _: Any) -> None:
        self.pop_to_mark()

    def mark(self, _: Any) -> None:
        self.marks += 1
        if self.marks > limits.MAX_DEPTH:
            raise CheckpointError(f"the pickle is nested over {limits.MAX_DEPTH} deep")
        self.push(_MARK)

    def pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                self.marks -= 1
                return items
        raise CheckpointError("the pickle is damaged: a mark is missing")

    def push_tuple(self, items: list[Any]) -> None:
        value = tuple(items)
        depth = 1 + max((self.tuple_depths.get(id(item), 0) for item in value), default=0)
        if depth > limits.MAX_DEPTH:
            raise CheckpointError(f"the pickle nests tuples over {limits.MAX_DEPTH} deep")
        self.tuple_depths[id(value)] = depth
        self.tuples.append(value)
        self.push(value)

    def small_tuple(self, count: int) -> None:
        self.push_tuple([self.pop() for _ in range(count)][::-1])

    def resolve(self, module: str, name: str) -> None:
        if (module, name) not in self.allowed:
            raise UnsafeCheckpointError(
                f"the checkpoint refers to {shown(module)}.{shown(name)}, which no supported format contains; "
                "it was not run. Only load it where you trust its author, with the code that wrote it"
            )
        self.push(Global(module, name))

    def stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise CheckpointError("the pickle is damaged: a global's name is not text")
        self.resolve(module, name)

    def call(self, _: Any) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, Global):
            raise UnsafeCheckpointError(
                f"the checkpoint calls a {type(function).__name__}, which no supported format does; it was not run"
            )
        if not isinstance(args, tuple):
            raise CheckpointError(f"the pickle is damaged: arguments of {function} are not a tuple")
        self.push(self.allowed[function.module, function.name](*args))

    def build(self, _: Any) -> None:
        state = self.pop()
        target = self.stack[-1]
        if isinstance(target, Instance):
            target.state = state
        elif not isinstance(target, dict):  # an OrderedDict's or EasyDict's attributes carry nothing that is needed
            raise CheckpointError(f"the pickle is damaged: state is set on a {type(target).__name__}")

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise CheckpointError(f"the pickle is damaged: items are appended to a {type(target).__name__}")
        target.extend(items)

    def add(self, _: Any) -> None:
        items = self.pop_to_mark()
        target = self.stack[-1]
        if not isinstance(target, set) or not all(isinstance(item, _SCALARS) for item in items):
            raise CheckpointError("the pickle is damaged: a set holds something else than scalars")
        target.update(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise CheckpointError(f"the pickle is damaged: keys are set on a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, _KEYS):
                raise CheckpointError(f"the pickle has a {type(key).__name__} for a key; expected text or a number")
            target[key] = value

    def dictionary(self, _: Any) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    def put(self, index: Any) -> None:
        self.memo[len(self.memo) if index is None else int(index)] = self.stack[-1]

    def get(self, index: Any) -> None:
        self.push(self.memo[int(index)])

    def persistent(self, _: Any) -> None:
        if self.persistent_load is None:
            raise CheckpointError("the pickle refers to data outside itself, which this format does not have")
        self.push(self.persistent_load(self.pop()))


_PUSHES = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME"})
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_to_mark,
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "EMPTY_TUPLE": lambda machine, _: machine.push_tuple([]),
    "TUPLE": lambda machine, _: machine.push_tuple(machine.pop_to_mark()),
    "TUPLE1": lambda machine, _: machine.small_tuple(1),
    "TUPLE2": lambda machine, _: machine.small_tuple(2),
    "TUPLE3": lambda machine, _: machine.small_tuple(3),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "DICT": _Machine.dictionary,
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "ADDITEMS": _Machine.add,
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": lambda machine, argument: machine.resolve(*str(argument).split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
