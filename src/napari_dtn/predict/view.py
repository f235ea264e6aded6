"""Integer geometry of what is on screen: which tiles of which level, in which order; knows no arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot

from napari_dtn.predict.mosaic import slice_of_level
from napari_dtn.volume.tiles import Tile, TileGrid

Rectangle = tuple[slice, slice]
AT_ONCE = 16  # tiles: a view that lacks no more needs no rough one first
_PATCH = 4  # tiles along each side of what is read at once


@dataclass(frozen=True)
class View:
    """A rectangle of slice z, in pixels of the finest level."""

    z: int
    y: slice
    x: slice


@dataclass(frozen=True)
class Lattice:
    """Where the tiles of a level of the volume lie.

    Parameters
    ----------
    level
        Of the volume; 0 is the finest.
    depth
        Its slices.
    grid
        The tiles of each.
    """

    level: int
    depth: int
    grid: TileGrid

    def over(self, view: View, finest: Lattice) -> tuple[int, Rectangle]:
        """Return the view's slice and its rectangle in pixels of this level."""
        y = _scaled(view.y, finest.grid.height, self.grid.height)
        x = _scaled(view.x, finest.grid.width, self.grid.width)
        return slice_of_level(view.z, finest.depth, self.depth), (y, x)


def _scaled(side: slice, length: int, wanted: int) -> slice:
    return slice(side.start * wanted // length, max(-(-side.stop * wanted // length), 1))


@dataclass(frozen=True)
class Pass:
    """Tiles of one level that show a view.

    Parameters
    ----------
    level
        Of the volume.
    z, region
        Slice of that level, and the part of it that is in view.
    patches
        Rectangles of the lattice, each its tiles row by row; the nearest to the middle of the view first.
    needed
        Tiles that all of the view takes; the patches may hold fewer.
    """

    level: int
    z: int
    region: Rectangle
    patches: tuple[tuple[Tile, ...], ...]
    needed: int

    @property
    def tiles(self) -> int:
        """Tiles in the patches."""
        return sum(map(len, self.patches))


def passes(view: View, lattices: Sequence[Lattice], most: int) -> Iterator[Pass]:
    """Say what to predict for a view: a rough pass where the fine one takes long, then the fine one.

    The network knows structures at the scale of the finest level, so only that pass counts. The rough one
    is of the finest level that needs few tiles, or of the coarsest there is.

    Parameters
    ----------
    view
        What is on screen.
    lattices
        Of the volume's levels, the finest first.
    most
        Tiles of a pass: those nearest to the middle are taken.
    """
    finest = lattices[0]
    if tiles_over(finest.grid, (view.y, view.x)) > AT_ONCE and len(lattices) > 1:
        quick = (one for one in lattices[1:] if tiles_over(one.grid, one.over(view, finest)[1]) <= AT_ONCE)
        yield _pass(view, next(quick, lattices[-1]), finest, most)
    yield _pass(view, finest, finest, most)


def _pass(view: View, lattice: Lattice, finest: Lattice, most: int) -> Pass:
    z, region = lattice.over(view, finest)
    chosen, count = [], 0
    for patch in _patches(lattice.grid, region):
        chosen.append(patch)
        count += len(patch)
        if count >= most:
            break
    return Pass(lattice.level, z, region, tuple(chosen), tiles_over(lattice.grid, region))


def tiles_over(grid: TileGrid, region: Rectangle) -> int:
    """Return how many tiles have weight on a region."""
    return len(grid.rows(region[0])) * len(grid.columns(region[1]))


def _patches(grid: TileGrid, region: Rectangle) -> Iterator[tuple[Tile, ...]]:
    middle: list[float] = [(side.start + side.stop) / 2 for side in region]

    def distance(place: tuple[range, range]) -> float:
        first, last = grid.tile(place[0][0], place[1][0]), grid.tile(place[0][-1], place[1][-1])
        y, x = (first.y + last.y + grid.size) / 2, (first.x + last.x + grid.size) / 2
        return hypot(y - middle[0], x - middle[1])

    columns = list(_cut(grid.columns(region[1])))
    places = [(rows, some) for rows in _cut(grid.rows(region[0])) for some in columns]
    for rows, some in sorted(places, key=distance):
        yield tuple(grid.tile(row, column) for row in rows for column in some)


def _cut(places: range) -> Iterator[range]:
    """Cut a range into parts of nearly the same length, at most a patch's."""
    parts = -(-len(places) // _PATCH)
    for part in range(parts):
        start, stop = (len(places) * at // parts for at in (part, part + 1))
        yield places[start:stop]
