"""What TensorRT says while it works. It takes the first logger of a process and no other, and holds on to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from runtime.tensorrt.versions import Library

MAX_SAID = 300
"""Characters of a message that are kept: the shapes of every layer may follow."""


@dataclass
class Messages:
    """What TensorRT said since the last `clear`."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Forget: another piece of work begins."""
        self.errors.clear()
        self.warnings.clear()

    def last_error(self) -> str:
        """The last error, in one line of bounded length."""
        return shorten(self.errors[-1]) if self.errors else "it gave no reason"


@cache
def make_log(library: Library) -> tuple[Any, Messages]:
    """A logger and what it keeps, made once a process."""
    trt, messages = library.module, Messages()

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        """What TensorRT calls."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Keep what matters."""
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                messages.errors.append(message)
            elif severity == trt.ILogger.WARNING:
                messages.warnings.append(message)

    return Log(), messages


def shorten(text: str) -> str:
    """A message of TensorRT's as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SAID else line[: MAX_SAID - 3] + "..."
