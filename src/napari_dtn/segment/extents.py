"""Where an object is in a slice, by what edits change; only where it shrinks are the labels looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.patches import rectangle_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dtn.segment.patches import Patch


@dataclass(frozen=True)
class Extent:
    """Pixels of an object in a slice; or how many more there are, which may be less than none.

    Parameters
    ----------
    id, z
        Object and slice.
    voxels
        Their number.
    sum_y, sum_x
        Sums of their coordinates.
    y0, y1, x0, x1
        The smallest box that holds them; of a change, one that holds all that were gained or lost.
    """

    id: int
    z: int
    voxels: int
    sum_y: int
    sum_x: int
    y0: int
    y1: int
    x0: int
    x1: int

    def plus(self, change: Extent) -> Extent:
        """Return the extent after a change; where pixels were lost, the box may then be too large."""
        return Extent(
            self.id,
            self.z,
            self.voxels + change.voxels,
            self.sum_y + change.sum_y,
            self.sum_x + change.sum_x,
            min(self.y0, change.y0),
            max(self.y1, change.y1),
            min(self.x0, change.x0),
            max(self.x1, change.x1),
        )

    def touches_edge_of(self, other: Extent) -> bool:
        """Whether its box reaches an edge of another's: only such a loss can make that one smaller."""
        return self.y0 <= other.y0 or self.y1 >= other.y1 or self.x0 <= other.x0 or self.x1 >= other.x1

    def fitted(self, labels: Any) -> Extent:
        """Return it with the smallest box, by the labels (Z, Y, X) in the box that it has."""
        there = np.asarray(labels[self.z, self.y0 : self.y1, self.x0 : self.x1]) == self.id
        if not there.any():
            return self
        y0, y1, x0, x1 = rectangle_of(there, (self.y0, self.x0))
        return replace(self, y0=y0, y1=y1, x0=x0, x1=x1)


def changes_of(patch: Patch) -> Iterator[Extent]:
    """Yield what a patch does to each object in its slice, the background left out."""
    y, x = np.nonzero(patch.changed)
    old, new = patch.old, patch.new
    for number in np.union1d(np.unique(old), np.unique(new)):
        if number:
            gain = (new == number).astype(np.int64) - (old == number)
            sums = (int(gain.sum()), int(gain @ (y + patch.y[0])), int(gain @ (x + patch.x[0])))
            its = (old == number) | (new == number)
            place = (y[its].min(), y[its].max() + 1, x[its].min(), x[its].max() + 1)
            shift = (patch.y[0], patch.y[0], patch.x[0], patch.x[0])
            yield Extent(int(number), patch.z, *sums, *map(int, np.add(place, shift)))
