"""Tiles become finished rows of a block: blended by rows of tiles, handed on by rows of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.predict.blocks import Block
from napari_dtn.volume.tiles import Tile, TileGrid

Float = NDArray[np.float32]
Rectangle = tuple[slice, slice]


def as_uint8(probability: Float) -> NDArray[np.uint8]:
    """Probabilities -> round(255 p)."""
    scaled = np.clip(probability, 0, 1)
    scaled *= 255
    return np.rint(scaled, out=scaled).astype(np.uint8)


def blend(out: Float, weighted: Float, tile: Tile, region: Rectangle) -> None:
    """Add what of a weighted tile lies in the region that ``out`` holds."""
    y, x = region
    y0, y1 = max(tile.y, y.start), min(tile.y + tile.size, y.stop)
    x0, x1 = max(tile.x, x.start), min(tile.x + tile.size, x.stop)
    out[:, y0 - y.start : y1 - y.start, x0 - x.start : x1 - x.start] += weighted[
        :, y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x
    ]


def blank(values: NDArray[Any], region: Rectangle, parts: Sequence[Rectangle]) -> None:
    """Set to 0 some parts of a slice in the values of a region of it, ``(..., height, width)``."""
    top, left = region[0].start, region[1].start
    for y, x in parts:
        rows = slice(max(y.start - top, 0), max(y.stop - top, 0))
        values[..., rows, max(x.start - left, 0) : max(x.stop - left, 0)] = 0


@dataclass(frozen=True, eq=False)
class Strip:
    """Finished rows of a block in one slice.

    Parameters
    ----------
    z, y, x
        Where in the volume.
    values
        uint8, ``(classes, height, width)``.
    last
        Whether the block's part of this slice ends with it.
    """

    z: int
    y: slice
    x: slice
    values: NDArray[np.uint8]
    last: bool


class Canvas:
    """Blends the tiles of a block, which come slice by slice and row by row.

    Only one row of tiles is held, and what is finished of one row of chunks: however tall a block is, it
    takes the same memory. ::

        tile row n     ####################    what the next row does not touch is final when the row ends,
                       ++++++++++++++++++++    what it shares with it waits
        tile row n+1   ++++++++++++++++++++
                       ####################

    Parameters
    ----------
    block
        What is computed.
    grid
        The lattice of tiles.
    classes
        Maps of a prediction.
    height
        Rows that are handed on together, from the block's first: those of a chunk.
    """

    def __init__(self, block: Block, grid: TileGrid, classes: int, height: int) -> None:
        self._block, self._grid, self._height = block, grid, height
        self._last_row, self._last_column = grid.rows(block.y)[-1], grid.columns(block.x)[-1]
        width = block.x.stop - block.x.start
        self._band = np.zeros((classes, grid.size, width), np.float32)
        self._strip = self._empty(0)

    def add(
        self, z: int, tile: Tile, probability: Float, unreadable: Sequence[Rectangle] = ()
    ) -> Iterator[Strip]:
        """Blend a tile, ``(classes, size, size)``, and hand on what is finished by it.

        Parameters
        ----------
        unreadable
            Parts of the slice that could not be read: 0 in the result.
        """
        band = slice(tile.y, tile.y + tile.size), self._block.x
        blend(self._band, probability * self._grid.window(tile), tile, band)
        if tile.column == self._last_column:
            yield from self._finish_row(z, tile, unreadable)

    def _finish_row(self, z: int, tile: Tile, unreadable: Sequence[Rectangle]) -> Iterator[Strip]:
        last = tile.row == self._last_row
        stop = self._block.y.stop if last else self._grid.tile(tile.row + 1, tile.column).y
        start = max(tile.y, self._block.y.start)
        if start < stop:
            yield from self._store(z, start, self._band[:, start - tile.y : stop - tile.y], unreadable)
        waiting = 0 if last else tile.y + tile.size - stop
        self._band[:, :waiting] = self._band[:, tile.size - waiting :]
        self._band[:, waiting:] = 0

    def _store(self, z: int, y: int, rows: Float, unreadable: Sequence[Rectangle]) -> Iterator[Strip]:
        block = self._block
        while rows.shape[1]:
            top = y - (y - block.y.start) % self._height
            bottom = min(top + self._height, block.y.stop)
            if y == top:
                self._strip = self._empty(bottom - top)
            count = min(bottom - y, rows.shape[1])
            self._strip[:, y - top : y - top + count] = as_uint8(rows[:, :count])
            y, rows = y + count, rows[:, count:]
            if y == bottom:
                blank(self._strip, (slice(top, bottom), block.x), unreadable)
                yield Strip(z, slice(top, bottom), block.x, self._strip, last=bottom == block.y.stop)

    def _empty(self, height: int) -> NDArray[np.uint8]:
        classes, _, width = self._band.shape
        return np.empty((classes, height, width), np.uint8)
