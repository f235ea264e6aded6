"""Files on the disk itself, where a machine that loses its power finds them again."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def make_durable(folder: Path, files: Iterable[Path]) -> None:
    """Return when the files are on the disk itself.

    Where the system can, its one call for a whole file system is used: what is finished is hundreds of
    small files, and each would cost a round trip to the disk.
    """
    syncfs = _syncfs()
    if syncfs is None:
        for file in files:
            if file.exists():  # a chunk that is 0 everywhere has none
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _syncfs() -> Any:
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if sys.platform == "linux" else None
