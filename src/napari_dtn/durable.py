"""Files on the disk itself: whether they can be written there, and found again after a loss of power."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def may(path: Path, mode: int) -> bool:
    """Whether the user may do what the flags of :func:`os.access` say."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _nearest(path: Path) -> Path:
    """What of a path there is: itself, or the first of its folders that exists."""
    above = (path, *path.parents)
    # os.path, unlike Path, takes what lies in a closed folder for missing.
    return next((one for one in above if os.path.exists(one)), above[-1])  # noqa: PTH110


def check_readable(path: Path) -> None:
    """Refuse with a PermissionError what may not be read, or lies in a folder that may not be looked into."""
    there = _nearest(path.absolute())
    if not there.exists():  # a drive that is not there, say: whoever opens it is told
        return
    needed = (os.X_OK if there.is_dir() else 0) | (os.R_OK if there == path.absolute() else 0)
    if not may(there, needed):
        raise PermissionError(
            f"{path} may not be read: you have no permission for {there}; ask its owner, or choose a copy."
        )


def check_writable(path: Path) -> None:
    """Refuse a file whose folder cannot be made, or may not be written in; nothing is made.

    Raises
    ------
    NotADirectoryError
        What should be a folder is a file.
    PermissionError
        The user may not write there.
    """
    there = _nearest(path.absolute().parent)
    if not there.is_dir():
        raise NotADirectoryError(
            f"{path} cannot be written: {there} is a file, not a folder; choose another."
        )
    if not may(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{path} cannot be written: you may not write in {there}; choose another folder."
        )


def make_durable(folder: Path, files: Iterable[Path]) -> None:
    """Return when the files are on the disk itself.

    Where the system can, its one call for a whole file system is used: what is finished is hundreds of
    small files, and each would cost a round trip to the disk.
    """
    syncfs = _syncfs()
    if syncfs is None:
        for file in files:
            if file.exists():  # a chunk that is 0 everywhere has none
                with file.open("r+b") as opened:  # Windows flushes only what may be written
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
