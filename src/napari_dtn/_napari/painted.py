"""Labels on disk that a brush may paint: a stroke is seen at once, and written when it is recorded."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_dtn._napari.pyramid import Level
from napari_dtn.segment.patches import Patch, patch_between
from napari_dtn.segment.windows import lay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Ids = NDArray[Any]  # of the labels' type
_TILE = 512  # pixels of a side: what is kept in memory of a slice that a brush touches


class PaintedLabels:
    """Array-like (Z, Y, X) that keeps what is painted in memory; its coarser scales show that too.

    Parameters
    ----------
    levels
        On disk, (Z, Y, X), each with half the rows and columns of the one before; only read.
    """

    ndim = 3

    def __init__(self, levels: Sequence[Any]) -> None:
        self._disk = tuple(levels)
        self._labels = self._disk[0]
        self.dtype = np.dtype(self._labels.dtype)
        self.shape: tuple[int, ...] = self._labels.shape
        self.size = int(np.prod(self.shape, dtype=object))
        self._painted: dict[tuple[int, int, int], Ids] = {}  # tiles, since the last stroke ended
        self._from: dict[tuple[int, int, int], Ids] = {}  # what these were when the brush came to them
        self._taken: dict[tuple[int, int, int], Ids] = {}  # on the way to the disk

    @property
    def levels(self) -> list[Level]:
        """The arrays of a multiscale layer, the finest first."""
        return [Level(self, scale, tuple(map(range, one.shape))) for scale, one in enumerate(self._disk)]

    def take(self) -> list[Patch]:
        """Return what was painted since this was asked last; what else has changed there is no part of it."""
        patches = [
            patch_between(key[0], (key[1] * _TILE, key[2] * _TILE), self._from[key], tile)
            for key, tile in self._painted.items()
        ]
        self._taken |= self._painted
        self._painted, self._from = {}, {}
        return [patch for patch in patches if patch is not None]

    def settle(self) -> bool:
        """Read from the disk again, all that was taken is there; return whether it was anything."""
        anything, self._taken = bool(self._taken), {}
        return anything

    def read(self, scale: int, z: int, y: slice, x: slice) -> Ids:
        """Return a window of slice z at a scale, ``(height, width)``.

        In coarser scales every so many-th pixel stands for what is painted, until it is recorded.
        """
        out: Ids = np.array(self._disk[scale][z, y, x])
        step = 2**scale
        for (at, row, column), tile in (self._taken | self._painted).items():
            if at == z:
                lay(tile[::step, ::step], (row * _TILE // step, column * _TILE // step), out, y, x)
        return out

    def __getitem__(self, key: Any) -> NDArray[Any]:
        z, *others = key if isinstance(key, tuple) else (key,)
        place = (*others, slice(None), slice(None))[:2]
        if isinstance(z, (int, np.integer)):
            (y, x), inside = self._window(place)
            found: Ids = self.read(0, int(z), y, x)[inside]
            return found
        if isinstance(z, slice):
            planes = [np.asarray(self[one, *place]) for one in range(*z.indices(self.shape[0]))]
            return np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), self.dtype)
        out = np.empty(np.broadcast(z, *place).shape, self.dtype)
        for one, where, there in _by_slice(z, place):
            out[where] = self[one, *there]
        return out

    def __setitem__(self, key: Any, value: Any) -> None:
        z, *others = key
        if isinstance(z, (int, np.integer)):
            self._paint(int(z), tuple(others), value)
        elif isinstance(z, slice):
            slices = range(*z.indices(self.shape[0]))
            values = np.broadcast_to(value, (len(slices), *np.shape(value)[-2:])) if np.ndim(value) else None
            for row, one in enumerate(slices):
                self._paint(one, tuple(others), value if values is None else values[row])
        else:
            for one, where, there in _by_slice(z, tuple(others)):
                self._paint(one, there, np.broadcast_to(value, where.shape)[where])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _window(self, place: tuple[Any, ...]) -> tuple[tuple[slice, slice], tuple[Any, ...]]:
        """Return the rows and columns that an index reaches, and the index within these."""
        (y, rows), (x, columns) = (_reach(*one) for one in zip(place, self.shape[1:], strict=True))
        return (y, x), (rows, columns)

    def _paint(self, z: int, place: tuple[Any, ...], value: Any) -> None:
        (y, x), inside = self._window(place)
        tiles = [(row, column, self._own((z, row, column))) for row, column in product(_tiles(y), _tiles(x))]
        window = self.read(0, z, y, x)
        window[inside] = value
        for row, column, tile in tiles:
            rows, columns = (
                slice(i * _TILE, i * _TILE + n) for i, n in zip((row, column), tile.shape, strict=True)
            )
            lay(window, (y.start, x.start), tile, rows, columns)

    def _before(self, key: tuple[int, int, int]) -> Ids:
        if key in self._taken:
            return self._taken[key]
        z, y, x = key[0], key[1] * _TILE, key[2] * _TILE
        return np.asarray(self._labels[z, y : y + _TILE, x : x + _TILE])

    def _own(self, key: tuple[int, int, int]) -> Ids:
        """Return a tile of ours to paint on."""
        if key not in self._painted:
            self._from[key] = np.array(self._before(key))
            self._painted[key] = self._from[key].copy()
        return self._painted[key]


def _tiles(side: slice) -> range:
    return range(side.start // _TILE, -(-side.stop // _TILE))


def _reach(index: Any, size: int) -> tuple[slice, Any]:
    """Return the range that an index of an axis reaches, and the index as counted from its start."""
    if isinstance(index, slice):
        start, stop, step = index.indices(size)
        return slice(start, max(start, stop)), slice(None, None, step)
    there = np.asarray(index)
    start = int(there.min()) if there.size else 0
    return slice(start, int(there.max()) + 1 if there.size else 0), there - start


def _by_slice(z: Any, others: tuple[Any, ...]) -> Iterator[tuple[int, NDArray[np.bool_], tuple[Any, ...]]]:
    """Sort fancy indices by slice: slice, which of them, and their places in it."""
    zs, *places = np.broadcast_arrays(z, *others)
    for one in np.unique(zs):
        yield int(one), zs == one, tuple(place[zs == one] for place in places)
