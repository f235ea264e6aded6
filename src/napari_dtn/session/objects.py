"""What is known about committed objects, and changes of them as patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.patches import patch_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dtn.segment.extents import Extent
    from napari_dtn.segment.patches import Patch
    from napari_dtn.settings import VoxelSize

Rectangle = tuple[int, int, int, int]  # y0, y1, x0, x1


@dataclass(frozen=True)
class ObjectFacts:
    """A committed object.

    Parameters
    ----------
    id
        Its value in the labels.
    name
        What somebody called it; empty where nobody did.
    locked
        Whether other objects leave it alone.
    voxels
        Their number.
    slices
        Slices that it is in.
    box
        A box that holds it, ``((z0, z1), (y0, y1), (x0, x1))``.
    centroid
        Mean voxel (z, y, x).
    um3
        Its volume in µm³; 0 where the voxel size is not known.
    """

    id: int
    name: str
    locked: bool
    voxels: int
    slices: int
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    centroid: tuple[float, float, float]
    um3: float


def facts_of(extents: list[Extent], note: dict[str, Any], voxel_size: VoxelSize | None) -> ObjectFacts:
    """Put together what is known of an object, from its slices (at least one)."""
    voxels = sum(one.voxels for one in extents)
    sums = (
        sum(one.z * one.voxels for one in extents),
        sum(one.sum_y for one in extents),
        sum(one.sum_x for one in extents),
    )
    z, y, x = (total / voxels for total in sums)
    y0, y1, x0, x1 = bounds(extents)
    nm3 = float(np.prod(voxel_size)) if voxel_size else 0.0
    return ObjectFacts(
        extents[0].id,
        str(note.get("name", "")),
        bool(note.get("locked", False)),
        voxels,
        len(extents),
        ((extents[0].z, extents[-1].z + 1), (y0, y1), (x0, x1)),
        (z, y, x),
        voxels * nm3 / 1e9,
    )


def bounds(extents: Iterable[Extent]) -> Rectangle:
    """Return the rectangle that holds the objects in every slice of some extents."""
    ends = [(one.y0, one.y1, one.x0, one.x1) for one in extents]
    y0, y1, x0, x1 = zip(*ends, strict=True)
    return min(y0), max(y1), min(x0), max(x1)


def rectangles(*groups: Iterable[Extent]) -> dict[int, Rectangle]:
    """Return, for each slice of some objects, the rectangle that holds them."""
    slices: dict[int, list[Extent]] = {}
    for extent in (one for group in groups for one in group):
        slices.setdefault(extent.z, []).append(extent)
    return {z: bounds(there) for z, there in slices.items()}


def patches_over(
    labels: Any, places: dict[int, Rectangle], change: Callable[..., NDArray[Any]]
) -> Iterator[Patch]:
    """Yield what a change of the ids does, slice by slice.

    Parameters
    ----------
    labels
        (Z, Y, X).
    places
        The rectangle to change in each slice.
    change
        Called with the slice, its rectangle as two slices, and the ids in it; returns the new ids.
    """
    for z, (y0, y1, x0, x1) in sorted(places.items()):
        y, x = slice(y0, y1), slice(x0, x1)
        before = np.asarray(labels[z, y, x])
        patch = patch_between(z, (y0, x0), before, change(z, y, x, before))
        if patch is not None:
            yield patch


def widened(place: Rectangle, margin: int, shape: tuple[int, ...]) -> Rectangle:
    """Return a rectangle with a margin, inside of a slice of this shape (Y, X)."""
    y0, y1, x0, x1 = place
    return max(y0 - margin, 0), min(y1 + margin, shape[0]), max(x0 - margin, 0), min(x1 + margin, shape[1])
