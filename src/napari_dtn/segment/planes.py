"""Windows of slices, each cut and measured by itself, and the evidence of those that lie on each other.

What two fragments show depends on their own slices and, where they lie side by side, on the slice before
and the one behind. So what is known about a slice stays known when slices farther away, or their windows,
come and go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.segment.graph import Borders, borders, graph_of, measure
from napari_dtn.segment.joining import NO_BORDERS, joined_borders, joined_fragments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dtn.segment.evidence import Fragments
    from napari_dtn.segment.graph import RegionGraph


@dataclass(frozen=True, eq=False)
class Plane:
    """A window of a slice, cut into fragments.

    Parameters
    ----------
    fragments
        Ids from 1, (Y, X).
    boundary, grey
        Probability of boundary, and grey values in standard deviations from the volume's mean, same shape;
        the latter may not be known.
    corner
        Its first pixel in the slice, (Y, X).
    measured
        Of its fragments.
    within
        Borders between them.
    """

    fragments: NDArray[np.uint32]
    boundary: NDArray[np.float32]
    grey: NDArray[np.float32] | None
    corner: tuple[int, int]
    measured: Fragments
    within: Borders

    @property
    def count(self) -> int:
        """How many fragments it has."""
        return len(self.measured.sizes) - 1

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for its tables, which are small."""
        grey = 0 if self.grey is None else self.grey.nbytes
        return self.fragments.nbytes + self.boundary.nbytes + grey


def measured_plane(
    fragments: NDArray[np.uint32],
    boundary: NDArray[np.float32],
    grey: NDArray[np.float32] | None,
    corner: tuple[int, int],
) -> Plane:
    """Measure a window of a slice; parameters as of :class:`Plane`."""
    stack = fragments[None], boundary[None], None if grey is None else grey[None]
    return Plane(fragments, boundary, grey, corner, measure(*stack, (0, *corner)), borders(*stack))


def borders_across(low: Plane, high: Plane) -> Borders:
    """Return the borders between two planes where they overlap; ids of the second follow the first's."""
    sides = [
        slice(max(a, b), min(a + m, b + n))
        for a, b, m, n in zip(low.corner, high.corner, low.boundary.shape, high.boundary.shape, strict=True)
    ]
    if any(side.start >= side.stop for side in sides):
        return NO_BORDERS
    below, above = (
        tuple(slice(side.start - a, side.stop - a) for side, a in zip(sides, plane.corner, strict=True))
        for plane in (low, high)
    )
    ids = np.stack([low.fragments[below], high.fragments[above] + np.uint32(low.count)])
    boundary = np.stack([low.boundary[below], high.boundary[above]])
    grey = None if low.grey is None or high.grey is None else np.stack([low.grey[below], high.grey[above]])
    first = slice(0, 1), slice(0, ids.shape[1]), slice(0, ids.shape[2])
    found = borders(ids, boundary, grey, first)
    across = found.edges[:, 1] > low.count
    return Borders(found.edges[across], found.boundary[across], found.grey[across])


def graph_over(planes: Sequence[Plane], between: Sequence[Borders]) -> RegionGraph:
    """Return the graph of planes that lie on each other.

    Parameters
    ----------
    planes
        In their order; the ids of each follow those of the one before.
    between
        The borders between each and the next one, by :func:`borders_across`.
    """
    first = first_ids(planes)
    tables = [_moved(plane.within, start) for plane, start in zip(planes, first, strict=True)]
    tables += [_moved(one, start) for one, start in zip(between, first, strict=False)]
    fragments = joined_fragments([plane.measured for plane in planes])
    slices = np.repeat(np.arange(-1, len(planes)), [1, *(plane.count for plane in planes)])
    return graph_of(joined_borders(tables), replace(fragments, slices=slices))


def first_ids(planes: Sequence[Plane]) -> NDArray[np.int64]:
    """Return what each plane adds to its ids, so that they are numbered on from plane to plane."""
    return np.cumsum([0, *(plane.count for plane in planes[:-1])])


def _moved(table: Borders, start: np.int64) -> Borders:
    return replace(table, edges=table.edges + start)
