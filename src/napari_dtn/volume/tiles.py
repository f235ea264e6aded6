"""Integer geometry of tiles: where they lie on a slice, and how their results are blended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Starts = NDArray[np.intp]


@dataclass(frozen=True)
class Tile:
    """A square of pixels of a slice; where the slice is smaller, it reaches past it.

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
    r"""A lattice of overlapping tiles, spread evenly over a slice.

    Along an axis of length L there are as few tiles as overlap by at least ``overlap`` pixels, n + 1 of them.
    The first begins at pixel 0, the last ends with the slice, and tile i begins at

    .. math:: s_i = round(i (L - size) / n).

    A slice that is smaller than a tile has one, which reaches past it. The weight of a tile rises linearly
    over all that it shares with the one before, and falls as the next one's rises,

    .. math:: w_i(x) = r_i(x) - r_{i+1}(x), \qquad
              r_i(x) = \frac{x - s_i + 1/2}{s_{i-1} + size - s_i}, \text{ kept within 0 and 1},

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
        Pixels shared with each neighbour at least, at most half a tile.
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
        """Pixels from one tile to the next, at most."""
        return self.size - self.overlap

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles along y and x."""
        return len(self._tops), len(self._lefts)

    @cached_property
    def _tops(self) -> Starts:
        return self._spread(self.height)

    @cached_property
    def _lefts(self) -> Starts:
        return self._spread(self.width)

    def _spread(self, length: int) -> Starts:
        """Return where the tiles of an axis begin, rounded to whole pixels, halves up."""
        way = max(length - self.size, 0)
        steps = -(-way // self.stride)
        return (2 * np.arange(steps + 1) * way + steps) // max(2 * steps, 1)

    def over(self, y: slice, x: slice) -> list[Tile]:
        """Return the tiles with weight on a region, row by row."""
        return [self.tile(row, column) for row in self.rows(y) for column in self.columns(x)]

    def tile(self, row: int, column: int) -> Tile:
        """Return the tile at a place of the lattice."""
        return Tile(row, column, int(self._tops[row]), int(self._lefts[column]), self.size)

    def rows(self, y: slice) -> range:
        """Return the rows of tiles with weight on pixels of y."""
        return self._along(y, self._tops)

    def columns(self, x: slice) -> range:
        """Return the columns of tiles with weight on pixels of x."""
        return self._along(x, self._lefts)

    def _along(self, region: slice, starts: Starts) -> range:
        first = np.searchsorted(starts, region.start - self.size, side="right")
        return range(int(first), int(np.searchsorted(starts, region.stop)))

    def window(self, tile: Tile) -> NDArray[np.float32]:
        """Return the blend weights of a tile, ``(size, size)``."""
        along_y = _weights(self.size, *self._shared(self._tops, tile.row))
        along_x = _weights(self.size, *self._shared(self._lefts, tile.column))
        return np.outer(along_y, along_x)

    def _shared(self, starts: Starts, index: int) -> tuple[int, int]:
        """Return how many pixels a tile shares with the one before and with the one after."""
        around = starts[max(index - 1, 0) : index + 2]
        steps = np.diff(around).tolist()
        before = self.size - steps[0] if index > 0 else 0
        return before, self.size - steps[-1] if index < len(starts) - 1 else 0

    def at(self, y: int, x: int) -> Tile:
        """Return the tile that weighs most at a pixel."""
        near = self.over(slice(y, y + 1), slice(x, x + 1))
        return max(near, key=lambda tile: float(self.window(tile)[y - tile.y, x - tile.x]))

    def owned(self, tile: Tile) -> tuple[slice, slice]:
        """Return the pixels (y, x) at which a tile weighs most: each pixel of the slice is one tile's."""
        along_y = np.searchsorted(self._row_owners, [tile.row, tile.row + 1])
        along_x = np.searchsorted(self._column_owners, [tile.column, tile.column + 1])
        return slice(*along_y.tolist()), slice(*along_x.tolist())

    @cached_property
    def _row_owners(self) -> Starts:
        return self._owners(self._tops, self.height)

    @cached_property
    def _column_owners(self) -> Starts:
        return self._owners(self._lefts, self.width)

    def _owners(self, starts: Starts, length: int) -> Starts:
        """Return which tile of an axis weighs most at each pixel; of equal ones the first, as :meth:`at`."""
        owners, most = np.zeros(length, np.intp), np.zeros(length, np.float32)
        for index, start in enumerate(starts.tolist()):
            part = slice(start, min(start + self.size, length))
            weights = _weights(self.size, *self._shared(starts, index))[: part.stop - start]
            heavier = weights > most[part]
            owners[part][heavier] = index
            most[part] = np.maximum(most[part], weights)
        return owners


@lru_cache(maxsize=64)
def _weights(size: int, before: int, after: int) -> NDArray[np.float32]:
    """Return the weights of a tile along an axis, where it shares so many pixels with its neighbours."""
    pixels = np.arange(size) + 0.5
    rise = np.clip(pixels / max(before, 0.5), 0, 1)  # 0.5: nothing shared is a step
    following = np.clip((pixels - (size - after)) / max(after, 0.5), 0, 1)
    weights: NDArray[np.float32] = (rise - following).astype(np.float32)
    return weights
