"""Tiles kept as files, within a bound."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Tile8 = NDArray[np.uint8]
_LEFT = 0.9  # of the bound, after files have been removed: not to be looked through again at once


class Folder:
    """Tiles as files, at most so many bytes of them; the files that were not used for longest go first.

    It is a cache: what cannot be read is taken as missing, and once a file cannot be written, no more are.

    Parameters
    ----------
    root
        Holds the tiles of every volume and model; the bound is on all of them.
    name
        Of the part that these tiles are in.
    most
        Bytes.
    """

    def __init__(self, root: Path, name: str, most: int) -> None:
        self._root, self._part, self._most = root, root / name, most
        self._nbytes = sum(size for *_, size in self._files())
        self._writable = True

    def get(self, key: tuple[int, ...]) -> Tile8 | None:
        """Return a tile, or None where there is none."""
        path = self._path(key)
        try:
            tile: Tile8 = np.load(path)
            os.utime(path)
        except (OSError, ValueError, EOFError):
            return None
        return tile

    def put(self, key: tuple[int, ...], tile: Tile8) -> None:
        """Keep a tile; its file appears whole or not at all."""
        if not self._writable:
            return
        path = self._path(key)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, tile)
            part.replace(path)
        except OSError as error:
            logger.warning("What is seen live is no longer kept on disk: %s", error)
            self._writable = False
            part.unlink(missing_ok=True)
            return
        self._nbytes += tile.nbytes
        if self._nbytes > self._most:
            self._remove_oldest()

    def _path(self, key: tuple[int, ...]) -> Path:
        *folders, name = map(str, key)
        return self._part.joinpath(*folders, f"{name}.npy")

    def _files(self) -> Iterator[tuple[float, Path, int]]:
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                try:
                    state = path.stat()
                except OSError:  # another napari has just removed it
                    continue
                yield state.st_mtime, path, state.st_size

    def _remove_oldest(self) -> None:
        files = sorted(self._files())
        self._nbytes = sum(size for *_, size in files)
        for _, path, size in files:
            if self._nbytes <= _LEFT * self._most:
                return
            path.unlink(missing_ok=True)
            self._nbytes -= size
