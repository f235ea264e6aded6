"""How the C library keeps memory between batches."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_KEPT, _MOST_KEPT = 2**30, 2**31 - 1  # bytes


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep what a batch has freed for the next one; return whether it does.

    By default it gives every map of a network, tens of megabytes each, back to the system, which then
    clears the same pages again for every layer of every batch: a quarter of a CPU's time. The price is that
    the process keeps the memory of its largest batch. Elsewhere than on Linux nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and libc.mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
