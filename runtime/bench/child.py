"""Another Python process of this package, which answers with one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import BackendUnavailableError

PACKAGES = Path(__file__).parents[2]
"""Where `runtime` lies: the process starts there, so that it imports this very package."""
SECONDS = 900
"""Given to a process: `torch.compile` takes minutes at large sizes."""


def run_child(module: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Any:
    """Run a module with its arguments as JSON; its last line is its answer.

    Raises BackendUnavailableError with its own words where it fails.
    """
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter, and a module of ours
            command,
            capture_output=True,
            text=True,
            cwd=PACKAGES,
            env={**os.environ, **(environment or {})},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackendUnavailableError(f"a process of its own was not done within {SECONDS} s") from None
    except OSError as error:
        raise BackendUnavailableError(f"no process of its own can be started ({error.strerror})") from None
    if done.returncode == 0:
        try:
            return json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            raise BackendUnavailableError("a process of its own answered nothing that can be read") from None
    ended = f"ended with {done.returncode}" if done.returncode > 0 else f"was ended by signal {-done.returncode}"
    last = next(reversed(done.stderr.strip().splitlines()), "no word")[:300]
    raise BackendUnavailableError(f"a process of its own {ended}: {last}")
