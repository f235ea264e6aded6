"""A volume of ids is read once, and what its objects are is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.shapes.facts import ObjectFacts, um3_of
from napari_dtn.volume.content import check_objects
from napari_dtn.volume.pyramid import regions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.opening import Volume

_SIDE = 2048  # pixels of a slice that are looked at together
# A table has a row for each object, and these columns:
_ID, _VOXELS, _SLICES, _SUM_Z, _SUM_Y, _SUM_X, _Z0, _Y0, _X0, _Z1, _Y1, _X1 = range(12)
_FIRST, _LAST = slice(_Z0, _Z1), slice(_Z1, _X1 + 1)


@dataclass(frozen=True)
class Measured:
    """Some of the slices have been read.

    Parameters
    ----------
    done, total
        Slices.
    objects
        What is known of each object by now, by id; as far as the slices go.
    """

    done: int
    total: int
    objects: tuple[ObjectFacts, ...] = ()


def measure_objects(labels: Volume) -> tuple[ObjectFacts, ...]:
    """Return what is known of every object of a volume of ids, by id; errors as :func:`measure_steps`."""
    *_, last = measure_steps(labels)
    return last.objects


def measure_steps(labels: Volume) -> Iterator[Measured]:
    """Measure the objects of a volume of ids, slice by slice; the last step has them.

    Parameters
    ----------
    labels
        Integers, 0 for background, for example ``open_volume("objects.zarr")``.

    Raises
    ------
    ValueError
        The volume holds no ids.
    """
    check_objects(labels.path)
    if labels.data.dtype.kind not in "bui":
        raise ValueError(f"{labels.name} holds {labels.data.dtype}; objects need integer ids.")
    depth, known = labels.shape[0], np.zeros((0, 12), np.int64)
    for z in range(depth):
        parts = [
            _measured(np.asarray(labels.data[at])[0], at)
            for at in regions(labels.shape, _SIDE)
            if at[0].start == z
        ]
        in_slice = _joined(np.concatenate(parts))
        in_slice[:, _SLICES] = 1
        known = _joined(np.concatenate([known, in_slice]))
        objects = tuple(_facts(row, labels.voxel_size) for row in known) if z == depth - 1 else ()
        yield Measured(z + 1, depth, objects)


def _measured(ids: NDArray[np.integer], at: tuple[slice, ...]) -> NDArray[np.int64]:
    """Measure a part of a slice, (Y, X), that lies at a place of the volume."""
    found, which = np.unique(ids, return_inverse=True)
    y, x = (part.ravel() + place.start for part, place in zip(np.indices(ids.shape), at[1:], strict=True))
    which = which.ravel()
    table = np.empty((len(found), 12), np.int64)
    table[:, _ID], table[:, _VOXELS] = found, np.bincount(which)
    table[:, _SUM_Z], table[:, [_Z0, _Z1]] = at[0].start * table[:, _VOXELS], (at[0].start, at[0].start + 1)
    for values, total, first, last in ((y, _SUM_Y, _Y0, _Y1), (x, _SUM_X, _X0, _X1)):
        table[:, total] = np.bincount(which, values)
        table[:, first], table[:, last] = np.iinfo(np.int64).max, 0
        np.minimum.at(table[:, first], which, values)
        np.maximum.at(table[:, last], which, values + 1)
    objects: NDArray[np.int64] = table[found != 0]
    return objects


def _joined(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make one row of all that have the same id."""
    if not len(table):
        return table
    table = table[np.argsort(table[:, _ID], kind="stable")]
    starts = np.flatnonzero(np.diff(table[:, _ID], prepend=-1))
    joined = np.add.reduceat(table, starts)
    joined[:, _ID] = table[starts, _ID]
    joined[:, _FIRST] = np.minimum.reduceat(table[:, _FIRST], starts)
    joined[:, _LAST] = np.maximum.reduceat(table[:, _LAST], starts)
    return joined


def _facts(row: NDArray[np.int64], voxel_size: VoxelSize | None) -> ObjectFacts:
    voxels = int(row[_VOXELS])
    z, y, x = (float(row[total]) / voxels for total in (_SUM_Z, _SUM_Y, _SUM_X))
    z0, y0, x0, z1, y1, x1 = (int(value) for value in row[_Z0:])
    box = (z0, z1), (y0, y1), (x0, x1)
    return ObjectFacts(
        int(row[_ID]), "", False, voxels, int(row[_SLICES]), box, (z, y, x), um3_of(voxels, voxel_size)
    )
