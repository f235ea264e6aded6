"""A durable list of finished blocks, beside the data: one JSON line each, written after the block's data."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from napari_dtn.predict.pipeline import BlockDone

try:
    import fcntl
except ImportError:  # Windows: two runs into one output are not noticed there
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class Journal:
    """The finished blocks of an output.

    A line that a crash has cut short is forgotten: its block is computed again.

    Parameters
    ----------
    path
        The file; made where it is missing.

    Attributes
    ----------
    finished
        Number of each finished block, with the parts ``[z, y0, y1, x0, x1]`` of it that could not be read.

    Raises
    ------
    ValueError
        Another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b")
        self._lock()
        self.finished: dict[int, list[list[int]]] = {}
        self._file.seek(0)
        whole, _, torn = self._file.read().rpartition(b"\n")
        for line in whole.splitlines():
            entry = json.loads(line)
            self.finished[entry["block"]] = entry["unreadable"]
        if torn:
            self._file.truncate(len(whole) + bool(whole))

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ValueError(f"{self.path.parent} is being written by another process.") from None
        except OSError as error:  # a file system without locks: two runs are not noticed there either
            logger.debug("%s cannot be locked: %s", self.path, error)

    def add(self, done: BlockDone) -> None:
        """Record a block whose data are durable."""
        parts = [[z, y.start, y.stop, x.start, x.stop] for z, (y, x) in done.unreadable]
        line = json.dumps({"block": done.block.number, "unreadable": parts}) + "\n"
        self._file.write(line.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.finished[done.block.number] = parts

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
