"""Windows of a volume become batches of normalised tiles; what cannot be read is filled and remembered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.predict.blending import Float, Rectangle
from napari_dtn.predict.blocks import Block, mirrored
from napari_dtn.volume.intensity import Intensity, normalise
from napari_dtn.volume.lazy import RecentWindows
from napari_dtn.volume.tiles import Tile, TileGrid

logger = logging.getLogger(__name__)

WINDOW_PIXELS = 2**23  # of a window: enough that a usual slice is one, little enough to keep two
Places = tuple[tuple[int, Tile], ...]
_FINEST = 64  # pixels: no smaller part is looked at when a chunk cannot be read


@dataclass(frozen=True, eq=False)
class Batch:
    """Tiles that go through the network together.

    Parameters
    ----------
    block
        Their block.
    places
        Slice and tile of each.
    images
        Normalised, ``(N, maps, size, size)``.
    last
        Whether the block ends with them.
    """

    block: Block
    places: Places
    images: Float
    last: bool


class Source:
    """A volume as the network sees it.

    Parameters
    ----------
    data
        Lazy array ``(Z, Y, X)``.
    intensity
        What its values are normalised by, and filled with where they cannot be read.
    context
        Neighbouring slices above, and as many below, that are looked at too.

    Attributes
    ----------
    data
        What windows are read through: slices that fit are read once.
    """

    def __init__(self, data: Any, intensity: Intensity, context: int) -> None:
        self.data = RecentWindows(data)
        self._intensity, self._context = intensity, context
        self._not_finite: set[int] = set()  # slices, as far as they were read
        self._damaged: dict[int, dict[tuple[int, int], _Chunk]] = {}  # by slice, then by place of the chunk

    def batches(self, blocks: Iterable[Block], grid: TileGrid, size: int) -> Iterator[Batch]:
        """Cut the tiles of blocks into batches; each block begins with a new one."""
        for block in blocks:
            tiles = self._tiles_of(block, grid)
            batch = list(islice(tiles, size))
            while batch:
                following = list(islice(tiles, size))
                places = tuple((z, tile) for z, tile, _ in batch)
                images = normalise(np.stack([values for *_, values in batch]), self._intensity)
                yield Batch(block, places, images, last=not following)
                batch = following

    def unreadable(self, z: int) -> list[Rectangle]:
        """Return what of slice z could not be read so far."""
        return [part for chunk in list(self._damaged.get(z, {}).values()) for part in chunk.unreadable]

    def lost(self, z: int, y: slice, x: slice) -> bool:
        """Tell whether some of a part of slice z, or of its context, could not be read so far."""
        parts = (part for one in self._around(z) for part in self.unreadable(one))
        return any(_meet(rows, y) and _meet(columns, x) for rows, columns in parts)

    def _tiles_of(self, block: Block, grid: TileGrid) -> Iterator[tuple[int, Tile, NDArray[Any]]]:
        rows, columns = grid.rows(block.y), grid.columns(block.x)
        maps = 2 * self._context + 1
        together = max(1, WINDOW_PIXELS // (len(columns) * grid.stride * maps * grid.stride))
        for z in range(block.z.start, block.z.stop):
            for first in range(rows.start, rows.stop, together):
                some = range(first, min(first + together, rows.stop))
                yield from self._values(z, [grid.tile(row, column) for row in some for column in columns])

    def tiles(self, z: int, tiles: list[Tile]) -> Iterator[tuple[int, Tile, Float]]:
        """Read some tiles of slice z at once, from the first to the last of a rectangle of the lattice.

        Where they reach past the slice's border, they are mirrored at it, as if all of it had been read.
        """
        for place, tile, values in self._values(z, tiles):
            yield place, tile, normalise(values, self._intensity)

    def _values(self, z: int, tiles: list[Tile]) -> Iterator[tuple[int, Tile, NDArray[Any]]]:
        height, width = self.data.shape[1:]
        y0, x0, size = tiles[0].y, tiles[0].x, tiles[0].size
        ys, xs = mirrored(y0, tiles[-1].y + size, height), mirrored(x0, tiles[-1].x + size, width)
        inside = slice(int(ys.min()), int(ys.max()) + 1), slice(int(xs.min()), int(xs.max()) + 1)
        window = self._window(z, *inside)
        for tile in tiles:
            rows = ys[tile.y - y0 : tile.y - y0 + size] - inside[0].start
            columns = xs[tile.x - x0 : tile.x - x0 + size] - inside[1].start
            yield z, tile, _taken(window, rows, columns)

    def _window(self, z: int, y: slice, x: slice) -> NDArray[Any]:
        return np.stack([self._read(one, y, x) for one in self._around(z)])

    def _around(self, z: int) -> list[int]:
        around = range(z - self._context, z + self._context + 1)
        return [min(max(one, 0), self.data.shape[0] - 1) for one in around]

    def _read(self, z: int, y: slice, x: slice) -> NDArray[Any]:
        try:
            window = self.data[z, y, x]
        except MemoryError:
            raise
        except Exception:  # whatever a file's library raises; the parts that fail again are named below
            window = self._in_parts(z, y, x)
        return self._finite(window, z) if window.dtype.kind == "f" else window

    def _finite(self, window: NDArray[Any], z: int) -> NDArray[Any]:
        """Fill what is no number with the volume's mean: a network makes one such pixel a whole tile's."""
        numbers = np.isfinite(window)
        if numbers.all():
            return window
        if z not in self._not_finite:
            logger.warning("Slice %d holds NaN or infinite values; the volume's mean stands for them.", z)
            self._not_finite.add(z)
        return np.where(numbers, window, window.dtype.type(self._intensity.mean))

    def _in_parts(self, z: int, y: slice, x: slice) -> NDArray[Any]:
        """Read what can be read of a window of one slice, and fill the rest with the volume's mean."""
        dtype = self.data.dtype
        mean = self._intensity.mean
        out = np.full((y.stop - y.start, x.stop - x.start), mean if dtype.kind == "f" else round(mean), dtype)
        for chunk in self._chunks(z, y, x):
            for part in chunk.readable:
                ys, xs = _common(part[0], y), _common(part[1], x)
                if _meet(part[0], y) and _meet(part[1], x):
                    inside = slice(ys.start - y.start, ys.stop - y.start)
                    out[inside, xs.start - x.start : xs.stop - x.start] = self.data[z, ys, xs]
        return out

    def _chunks(self, z: int, y: slice, x: slice) -> Iterator[_Chunk]:
        """Yield the chunks of slice z that a window touches, each with what can be read of it."""
        known = self._damaged.setdefault(z, {})
        for ys in _spans(self.data.chunks[1], y):
            for xs in _spans(self.data.chunks[2], x):
                key = ys.start, xs.start
                if key not in known:
                    known[key] = self._inspect(z, (ys, xs))
                yield known[key]

    def _inspect(self, z: int, whole: Rectangle) -> _Chunk:
        """Find what can be read of a chunk, by quarters: a part none of whose quarters can be is lost."""
        readable, unreadable = [], []
        waiting = [whole]
        while waiting:
            part = waiting.pop()
            reason = self._trial(z, part)
            quarters = _quarters(part)
            if reason is None:
                readable.append(part)
            elif any(self._trial(z, quarter) is None for quarter in quarters):
                waiting.extend(quarters)
            else:
                unreadable.append(part)
                where = f"y {part[0].start}:{part[0].stop}, x {part[1].start}:{part[1].stop}"
                logger.warning("Slice %d, %s cannot be read and is left 0: %s", z, where, reason)
        return _Chunk(tuple(readable), tuple(unreadable))

    def _trial(self, z: int, part: Rectangle) -> Exception | None:
        try:
            self.data[z, part[0], part[1]]
        except MemoryError:
            raise
        except Exception as error:
            return error
        return None


@dataclass(frozen=True)
class _Chunk:
    """What of a damaged chunk can be read, and what cannot."""

    readable: tuple[Rectangle, ...]
    unreadable: tuple[Rectangle, ...]


def _taken(window: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    """Return pixels of a window, ``(maps, rows, columns)``: a view where they follow each other."""
    straight = rows[-1] - rows[0] == len(rows) - 1 and columns[-1] - columns[0] == len(columns) - 1
    if straight:
        return window[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return window[:, rows[:, None], columns[None, :]]


def _common(left: slice, right: slice) -> slice:
    return slice(max(left.start, right.start), min(left.stop, right.stop))


def _meet(left: slice, right: slice) -> bool:
    common = _common(left, right)
    return bool(common.start < common.stop)


def _spans(sizes: tuple[int, ...], over: slice) -> Iterator[slice]:
    """Yield the chunks of an axis that a range touches."""
    for start, stop in pairwise(accumulate(sizes, initial=0)):
        if start < over.stop and stop > over.start:
            yield slice(start, stop)


def _quarters(part: Rectangle) -> list[Rectangle]:
    """Cut a part in two along its longer side, or in four; none where it is too small to be cut.

    The cuts lie where those of chunks of 64, 128, 256 ... pixels do.
    """
    y, x = part
    longest = max(_doubled(y), _doubled(x))
    if longest <= _FINEST:
        return []
    ys, xs = ([side] if _doubled(side) < longest else _halves(side) for side in part)
    return [(one, other) for one in ys for other in xs]


def _halves(side: slice) -> list[slice]:
    middle = side.start + _doubled(side) // 2
    return [slice(side.start, middle), slice(middle, side.stop)]


def _doubled(side: slice) -> int:
    """Return the least of 64, 128, 256 ... that is not less than a side."""
    size = _FINEST
    while size < side.stop - side.start:
        size *= 2
    return size
