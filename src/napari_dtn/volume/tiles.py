"""Integer geometry of tiles: where they lie on a slice, and how their results are blended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """A square of pixels of a slice; at the far borders it may reach past the slice.

    Parameters
    ----------
    row, column
        Its place on the lattice.
    y, x
        Its first pixel.
    size
        Its side.
    """

    row: int
    column: int
    y: int
    x: int
    size: int


@dataclass(frozen=True)
class TileGrid:
    r"""A lattice of overlapping tiles, anchored at the origin of the volume.

    Tile i begins at pixel :math:`i (size - overlap)`. Where two tiles share pixels, one's weight rises
    linearly while the other's falls,

    .. math:: r(k) = (k + 1/2) / overlap, \qquad k = 0 .. overlap - 1,

    so that the weights of all tiles sum to one at every pixel; towards the border of the slice, where there
    is no neighbour, a weight stays 1. The lattice depends on the slice's shape alone: whoever asks for a
    pixel, in whatever region, gets it from the same tiles with the same weights.

    Parameters
    ----------
    height, width
        Shape of the slice.
    size
        Side of a tile.
    overlap
        Pixels shared with each neighbour, at most half a tile.
    """

    height: int
    width: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= self.size // 2:
            raise ValueError(
                f"overlap is {self.overlap}; tiles of {self.size} pixels allow 0 to {self.size // 2}."
            )

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next."""
        return self.size - self.overlap

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles along y and x."""
        return self._count(self.height), self._count(self.width)

    def _count(self, length: int) -> int:
        return max(1, -(-(length - self.overlap) // self.stride))

    def over(self, y: slice, x: slice) -> list[Tile]:
        """Return the tiles with weight on a region, row by row."""
        return [self.tile(row, column) for row in self.rows(y) for column in self.columns(x)]

    def tile(self, row: int, column: int) -> Tile:
        """Return the tile at a place of the lattice."""
        return Tile(row, column, row * self.stride, column * self.stride, self.size)

    def rows(self, y: slice) -> range:
        """Return the rows of tiles with weight on pixels of y."""
        return self._along(y, self.counts[0])

    def columns(self, x: slice) -> range:
        """Return the columns of tiles with weight on pixels of x."""
        return self._along(x, self.counts[1])

    def _along(self, region: slice, count: int) -> range:
        first = max(0, (region.start - self.size) // self.stride + 1)
        return range(first, min(count, -(-region.stop // self.stride)))

    def window(self, tile: Tile) -> NDArray[np.float32]:
        """Return the blend weights of a tile, ``(size, size)``."""
        rows, columns = self.counts
        along_y, along_x = self._ramp(tile.row, rows), self._ramp(tile.column, columns)
        return np.outer(along_y, along_x).astype(np.float32)

    def _ramp(self, index: int, count: int) -> NDArray[np.float64]:
        weights = np.ones(self.size)
        if index > 0:
            weights[: self.overlap] = self._rise
        if index < count - 1:
            weights[self.stride :] = 1 - self._rise
        return weights

    @cached_property
    def _rise(self) -> NDArray[np.float64]:
        return (np.arange(self.overlap) + 0.5) / max(self.overlap, 1)

    def at(self, y: int, x: int) -> Tile:
        """Return the tile that weighs most at a pixel."""
        near = self.over(slice(y, y + 1), slice(x, x + 1))
        return max(near, key=lambda tile: float(self.window(tile)[y - tile.y, x - tile.x]))

    def owned(self, tile: Tile) -> tuple[slice, slice]:
        """Return the pixels (y, x) at which a tile weighs most: each pixel of the slice is one tile's."""
        (rows, columns), half = self.counts, (self.overlap + 1) // 2
        return (
            _owned(tile.y, tile.row, rows, self.height, half, self.stride),
            _owned(tile.x, tile.column, columns, self.width, half, self.stride),
        )


def _owned(start: int, index: int, count: int, length: int, half: int, stride: int) -> slice:
    """Of equal weights the first tile's counts, as in :meth:`TileGrid.at`."""
    first = start + half if index > 0 else 0
    return slice(first, start + stride + half if index < count - 1 else length)
