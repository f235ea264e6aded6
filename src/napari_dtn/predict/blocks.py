"""Integer geometry of blocks: a box of the volume, cut along the chunks of its output; knows no arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_dtn.settings import Box
from napari_dtn.volume.tiles import TileGrid

_TALL = 4  # times as tall as wide a block may be
_TILES = 256  # of a block of small slices: seconds of work, and few batches that are not full


@dataclass(frozen=True)
class Block:
    """A part of the volume that is computed, written and recorded as one, by whoever and whenever.

    Parameters
    ----------
    number
        Its place in the order of all blocks.
    z, y, x
        Its voxels in the volume.
    """

    number: int
    z: slice
    y: slice
    x: slice


@dataclass(frozen=True)
class Blocks:
    """All blocks of a box, in the order slices, rows, columns.

    A block is computed from every tile that has weight on it, so blocks need nothing from each other; tiles
    on a cut between two blocks of a slice are computed for both.

    Parameters
    ----------
    grid
        The lattice of tiles.
    zs, ys, xs
        Where each axis is cut.
    """

    grid: TileGrid
    zs: tuple[slice, ...]
    ys: tuple[slice, ...]
    xs: tuple[slice, ...]

    def __len__(self) -> int:
        return len(self.zs) * self.per_slice

    def __getitem__(self, number: int) -> Block:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rest, x = divmod(number, len(self.xs))
        z, y = divmod(rest, len(self.ys))
        return Block(number, self.zs[z], self.ys[y], self.xs[x])

    def __iter__(self) -> Iterator[Block]:
        return (self[number] for number in range(len(self)))

    @property
    def per_slice(self) -> int:
        """Blocks that a slice is cut into."""
        return len(self.ys) * len(self.xs)

    def tiles_in(self, block: Block) -> int:
        """Return how many tiles a block takes."""
        rows, columns = self.grid.rows(block.y), self.grid.columns(block.x)
        return len(rows) * len(columns) * extent(block.z)

    @cached_property
    def tiles(self) -> int:
        """How many tiles all blocks take, with those that are computed for two."""
        rows = sum(len(self.grid.rows(y)) for y in self.ys)
        columns = sum(len(self.grid.columns(x)) for x in self.xs)
        return rows * columns * sum(map(extent, self.zs))

    @property
    def twice(self) -> float:
        """Share of the tiles that are computed again because slices are cut."""
        rows = len(self.grid.rows(slice(self.ys[0].start, self.ys[-1].stop)))
        columns = len(self.grid.columns(slice(self.xs[0].start, self.xs[-1].stop)))
        needed = rows * columns * sum(map(extent, self.zs))
        return self.tiles / needed - 1


def cut_into_blocks(
    box: Box, grid: TileGrid, unit: tuple[int, int, int], slices: int = 0, side: int = 8192
) -> Blocks:
    """Cut a box into blocks that never share a chunk of the output.

    Parameters
    ----------
    box
        What of the volume is predicted; the output's chunks begin at its first voxel.
    grid
        The lattice of tiles.
    unit
        What is written as one file, (Z, Y, X): a chunk, or a shard of chunks.
    slices
        Slices of a block; 0 for as many as make some hundred tiles.
    side
        Largest width of a block in pixels; at least one chunk. It may be four times as tall: only one row of
        tiles is held of it, so its width takes memory and its height does not.
    """
    z, y, x = box
    ys, xs = _cut(y, _TALL * side, unit[1]), _cut(x, side, unit[2])
    tiles = len(grid.rows(ys[0])) * len(grid.columns(xs[0]))
    return Blocks(grid, _cut(z, slices or max(1, _TILES // tiles), unit[0], even=False), ys, xs)


def _cut(axis: slice, longest: int, unit: int, even: bool = True) -> tuple[slice, ...]:
    """Cut an axis into parts of whole units; ``even`` ones leave no sliver, which would be all seam."""
    length = extent(axis)
    step = -(-length // -(-length // longest)) if even else longest
    step = max(unit, (-(-step // unit) if even else step // unit) * unit)
    starts = range(axis.start, axis.stop, step)
    return tuple(slice(start, min(start + step, axis.stop)) for start in starts)


def extent(side: slice) -> int:
    """Return how many voxels a side of a box has."""
    return int(side.stop - side.start)


def mirrored(start: int, stop: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the pixels that ``start`` to ``stop`` show, mirrored at the last of ``length`` and at 0.

    The border pixel itself is not repeated: of length 4, pixels 2 to 8 are 2 3 2 1 0 1.
    """
    period = max(2 * (length - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros(stop - start, np.intp)
