"""How the C library keeps memory between batches."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # glibc's malloc.h
_LARGEST_KEPT, _MOST_KEPT = 2**30, 2**31 - 1  # bytes


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep what a batch has freed for the next one; return whether it does.

    By default it gives every map of a network, tens of megabytes each, back to the system, which then
    clears the same pages again for every layer of every batch: a quarter of a CPU's time. The price is that
    the process keeps the memory of its largest batch. All threads share one heap: batches are made in one
    thread and freed in another, and a heap for each would keep the largest batch of each, and more the longer
    a prediction runs. Elsewhere than on Linux nothing is done.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    chosen = (_MMAP_THRESHOLD, _LARGEST_KEPT), (_TRIM_THRESHOLD, _MOST_KEPT), (_ARENA_MAX, 1)
    return all(libc.mallopt(*one) for one in chosen)
