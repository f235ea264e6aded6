"""Tables become one, and pieces whole: what was measured of parts, put together and added up."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.segment.evidence import Fragments
from napari_dtn.segment.graph import Borders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


NO_FRAGMENTS = Fragments(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 2)), *np.zeros((3, 1)))
NO_BORDERS = Borders(np.zeros((0, 2), np.int64), *np.zeros((2, 0, 5)))


def joined_fragments(tables: Sequence[Fragments]) -> Fragments:
    """Return the fragments of all tables, numbered on from table to table; row 0 of the first stays."""
    columns = {
        one.name: np.concatenate(
            [getattr(tables[0], one.name)[:1], *(getattr(table, one.name)[1:] for table in tables)]
        )
        for one in fields(Fragments)
    }
    return Fragments(**columns)


def joined_borders(tables: Sequence[Borders]) -> Borders:
    """Return the borders of all tables: each pair of fragments meets in one table alone."""
    return Borders(
        *(np.concatenate([getattr(table, one.name) for table in tables]) for one in fields(Borders))
    )


def whole_fragments(pieces: Fragments, whole: NDArray[np.int64]) -> Fragments:
    """Return fragments as if they had been measured themselves.

    Parameters
    ----------
    pieces
        As they were measured, each within one slice.
    whole
        The fragment of each piece, shape (nodes,): consecutive from 1; 0 for node 0.
    """
    sizes = np.bincount(whole, pieces.sizes).astype(np.int64)
    slices = np.zeros(len(sizes), np.int64)
    slices[whole] = pieces.slices

    def average(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(whole, values * pieces.sizes, len(sizes)) / np.maximum(sizes, 1)

    grey = average(pieces.grey)
    variance = average(pieces.texture**2 + pieces.grey**2) - grey**2
    centres = np.column_stack([average(along) for along in pieces.centres.T])
    texture = np.sqrt(np.maximum(variance, 0))
    return Fragments(sizes, slices, centres, average(pieces.boundary), grey, texture)


def whole_borders(pieces: Borders, whole: NDArray[np.int64]) -> Borders:
    """Return the borders between whole fragments; parameters as :func:`whole_fragments`."""
    ends = np.sort(whole[pieces.edges], axis=1)
    between = np.flatnonzero(ends[:, 0] != ends[:, 1])
    edges, which = np.unique(ends[between], axis=0, return_inverse=True)
    tables = (_pooled(table[between], which, len(edges)) for table in (pieces.boundary, pieces.grey))
    return Borders(edges, *tables)


def _pooled(table: NDArray[np.float64], which: NDArray[np.intp], rows: int) -> NDArray[np.float64]:
    """Pool mean, standard deviation, minimum, maximum and number of samples, (n, 5) -> (rows, 5)."""
    mean, deviation, least, most, number = table.T
    count = np.bincount(which, number, rows)
    pooled = np.bincount(which, number * mean, rows) / count
    square = np.bincount(which, number * (deviation**2 + mean**2), rows) / count
    low, high = np.full(rows, np.inf), np.full(rows, -np.inf)
    with np.errstate(invalid="ignore"):  # grey values that are not known
        np.minimum.at(low, which, least)
        np.maximum.at(high, which, most)
    return np.column_stack([pooled, np.sqrt(np.maximum(square - pooled**2, 0)), low, high, count])
