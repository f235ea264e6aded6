"""What is known about an object as a whole: how large it is, where it is, what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dtn.segment.extents import Extent
    from napari_dtn.settings import VoxelSize

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class ObjectFacts:
    """An object of a volume of ids.

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
        The smallest box that holds it, ``((z0, z1), (y0, y1), (x0, x1))``, in voxels, ends excluded.
    centroid
        Mean voxel (z, y, x).
    um3
        Its volume in µm³; 0 where the voxel size is not known.
    colour
        ``#rrggbb``; empty where nobody has chosen one.
    hidden
        Whether it is left out of the picture.
    """

    id: int
    name: str
    locked: bool
    voxels: int
    slices: int
    box: Box
    centroid: tuple[float, float, float]
    um3: float
    colour: str = ""
    hidden: bool = False


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
    return ObjectFacts(
        extents[0].id,
        str(note.get("name", "")),
        bool(note.get("locked", False)),
        voxels,
        len(extents),
        ((extents[0].z, extents[-1].z + 1), (y0, y1), (x0, x1)),
        (z, y, x),
        um3_of(voxels, voxel_size),
        str(note.get("colour", "")),
        bool(note.get("hidden", False)),
    )


def bounds(extents: Iterable[Extent]) -> tuple[int, int, int, int]:
    """Return the rectangle y0, y1, x0, x1 that holds the objects in every slice of some extents."""
    ends = [(one.y0, one.y1, one.x0, one.x1) for one in extents]
    y0, y1, x0, x1 = zip(*ends, strict=True)
    return min(y0), max(y1), min(x0), max(x1)


def um3_of(voxels: int, voxel_size: VoxelSize | None) -> float:
    """Return the volume of voxels, whose size is in nm, in µm³; 0 where it is not known."""
    return voxels * float(np.prod(voxel_size)) / 1e9 if voxel_size else 0.0
