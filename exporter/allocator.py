"""Keep freed memory in the process while exporting, where the C library allows it."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> None:
    """Make glibc reuse large freed blocks instead of returning each to the kernel.

    A 1024 px network frees and takes 128 MB at every operation; without this the kernel clears those pages each time,
    which more than doubles the time of the reference. Does nothing on another C library.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
