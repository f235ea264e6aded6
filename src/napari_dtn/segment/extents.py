"""Where an object is in a slice, kept up to date by what edits change, without looking at the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
        A box that holds them; it may be larger than need be.
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
        """Return the extent after a change."""
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


def changes_of(patch: Patch) -> Iterator[Extent]:
    """Yield what a patch does to each object in its slice, the background left out."""
    y, x = np.nonzero(patch.changed)
    old, new = patch.old, patch.new
    for number in np.union1d(np.unique(old), np.unique(new)):
        if number:
            gain = (new == number).astype(np.int64) - (old == number)
            sums = (int(gain.sum()), int(gain @ (y + patch.y[0])), int(gain @ (x + patch.x[0])))
            yield Extent(int(number), patch.z, *sums, *patch.y, *patch.x)
