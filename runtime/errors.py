"""Every error that a caller may meet: one class a meaning, each message saying what was found, expected, and to do."""

from __future__ import annotations

from typing import Any

MAX_MESSAGE = 900
"""Characters of a message: enough for a long path and what to do, and no more than a screen."""
MAX_SHOWN = 40
"""Characters of a value from outside that a message shows."""
HUGE = 10**15
"""Python refuses to print numbers of thousands of digits, and nobody wants to read them."""


def quoted(value: Any) -> str:
    """A value from outside, as a message may show it: a scalar in short, text in quotes, of anything else the type."""
    if isinstance(value, int) and abs(value) >= HUGE:
        return "a huge number"
    if not isinstance(value, (str, int, float, type(None))):
        return f"a {type(value).__name__}"
    text = repr(value[:MAX_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


class StyleganEdgeError(Exception):
    """Base of all errors of this project. The message is one printable line of bounded length, whatever made it."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        printable = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
        super().__init__(printable if len(printable) <= MAX_MESSAGE else printable[:MAX_MESSAGE] + "...")


class InputError(StyleganEdgeError):
    """An argument is wrong: a shape, a range, a seed list, a mask, a label."""


class CheckpointError(StyleganEdgeError):
    """A checkpoint can't be read: missing, truncated, foreign, or of a kind that is not supported."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asks for something outside the allow-list. Nothing of it was run."""


class BundleError(StyleganEdgeError):
    """A bundle is missing, incomplete, malformed, or of a format version that this release does not know."""


class IntegrityError(BundleError):
    """A file of a bundle is not the one that was exported: its size or sha256 differs."""


class BackendUnavailableError(StyleganEdgeError):
    """The library or device that executes a graph is not there."""


class ServerError(StyleganEdgeError):
    """A server can't be reached, fails, or answers what it must not. Asking again later may help."""


class GpuError(StyleganEdgeError):
    """The GPU, its driver or TensorRT failed at work: out of memory, a lost device, a plan that can't run."""


class EngineMismatchError(StyleganEdgeError):
    """No engine of a bundle fits the graph, the device and TensorRT. The message holds the command that builds one."""


class EngineBuildError(StyleganEdgeError):
    """TensorRT can't build a graph: it refuses a node or an option, or runs out of memory. Nothing was written."""


class MissingDependencyError(StyleganEdgeError):
    """A command needs a package that is not installed; the message names the extra that brings it."""


class ExportError(StyleganEdgeError):
    """The graph written is not the graph promised: opset, shapes or node count."""


class OutputError(StyleganEdgeError):
    """Output can't be written: it exists already, is read-only, or the disk is full. Nothing was left behind."""


class ParityError(StyleganEdgeError):
    """Images differ from the reference by more than the tolerance."""


class ImagesDifferError(ParityError, AssertionError):
    """The same, of an assertion: a test that meets it has failed, rather than met an error."""
