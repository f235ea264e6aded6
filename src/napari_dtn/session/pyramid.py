"""Coarser levels of labels that are edited: they follow, slice by slice, where something has changed."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.volume.pyramid import mode, regions, under

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dtn.segment.history import History

_AT_ONCE = 1024  # pixels of a side, of the coarser level


class LabelPyramid:
    """The levels of labels with a history.

    Parameters
    ----------
    history
        Of the finest level; it knows where that has changed.
    array
        What the history calls it.
    levels
        (Z, Y, X), the finest first: each has half the rows and columns of the one before.
    """

    def __init__(self, history: History, array: str, levels: Sequence[Any]) -> None:
        self._history, self._array = history, array
        self.levels = tuple(levels)

    def follow(self) -> Iterator[int]:
        """Bring the coarser levels up to the finest where it has changed, slice by slice.

        What has changed is forgotten only after the levels have followed, so whoever is killed in between
        follows again, which does no harm.

        Yields
        ------
        int
            How many slices are left.

        Raises
        ------
        FileNotFoundError
            The levels are no longer in their place.
        """
        slices = [
            (z, [*rows]) for z, rows in groupby(self._history.touched(self._array), key=lambda row: row[1])
        ]
        for left, (z, rows) in zip(reversed(range(len(slices))), slices, strict=True):
            self._history.check_there()
            numbers, *places = zip(*((row[0], *row[2:]) for row in rows), strict=True)
            for place in sorted(set(zip(*places, strict=True))):
                self._reduce(z, place)
            self._history.forget_touched(numbers)
            yield left

    def _reduce(self, z: int, place: tuple[int, ...]) -> None:
        """Make a part of every coarser level anew: rows y0 to y1 and columns x0 to x1 of the finest."""
        y0, y1, x0, x1 = place
        for finer, coarse in pairwise(self.levels):
            y0, y1, x0, x1 = y0 // 2, -(-y1 // 2), x0 // 2, -(-x1 // 2)
            for _, rows, columns in regions((1, y1 - y0, x1 - x0), _AT_ONCE):
                region = (
                    slice(z, z + 1),
                    slice(y0 + rows.start, y0 + rows.stop),
                    slice(x0 + columns.start, x0 + columns.stop),
                )
                coarse[region] = mode(np.asarray(finer[under(region, finer.shape)]))
