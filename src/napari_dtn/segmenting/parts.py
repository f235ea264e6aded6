"""Integer geometry: the parts that a volume is cut into, each segmented by itself; knows no arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from napari_dtn.settings import Box


@dataclass(frozen=True)
class Parts:
    """The parts of a volume, in the order slices, rows, columns.

    Parameters
    ----------
    shape
        Of the volume, (Z, Y, X).
    part
        Largest shape of a part, (Z, Y, X).
    bad
        Slices that are left out: those before and behind are treated as neighbours.
    """

    shape: tuple[int, int, int]
    part: tuple[int, int, int]
    bad: frozenset[int] = frozenset()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of parts along each axis."""
        z, y, x = (-(-size // step) for size, step in zip(self.shape, self.part, strict=True))
        return z, y, x

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def __getitem__(self, number: int) -> Box:
        if not 0 <= number < len(self):
            raise IndexError(number)
        _, rows, columns = self.counts
        place = number // (rows * columns), number // columns % rows, number % columns
        z, y, x = (
            slice(i * step, min((i + 1) * step, size))
            for i, step, size in zip(place, self.part, self.shape, strict=True)
        )
        return z, y, x

    def good(self, z: slice) -> list[int]:
        """Return the slices of a range that are not left out."""
        return [one for one in range(z.start, z.stop) if one not in self.bad]

    def next_good(self, z: int) -> list[int]:
        """Return the first slice from z on that is not left out, or none."""
        return self.good(slice(z, self.shape[0]))[:1]

    def touching(self, y: slice, x: slice, z: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield the parts of slice z that share pixels with a rectangle: number, and the shared Y and X."""
        _, rows, columns = self.counts
        ranges = (
            range(side.start // step, -(-side.stop // step))
            for side, step in zip((y, x), self.part[1:], strict=True)
        )
        for row, column in product(*ranges):
            number = (z // self.part[0] * rows + row) * columns + column
            _, there_y, there_x = self[number]
            yield number, _common(y, there_y), _common(x, there_x)


def grown(side: slice, before: int, behind: int, size: int) -> slice:
    """Return a range grown at both ends, within 0 to ``size``."""
    return slice(max(0, side.start - before), min(size, side.stop + behind))


def within(side: slice, outer: slice) -> slice:
    """Return a range as counted from the start of another."""
    return slice(side.start - outer.start, side.stop - outer.start)


def _common(first: slice, second: slice) -> slice:
    return slice(max(first.start, second.start), min(first.stop, second.stop))
