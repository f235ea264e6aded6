"""An object as a mask: a box of pixels in a volume that need not be in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_dtn.segment.extents import Extent
from napari_dtn.segment.patches import Rectangle, rectangle_of
from napari_dtn.segment.windows import lay


@dataclass(frozen=True, eq=False)
class Mask:
    """Array-like (Z, Y, X), bool: False outside of a box.

    ``mask[z]`` is a slice of it, ``numpy.asarray(mask)`` all of it.

    Parameters
    ----------
    shape
        Of the volume, (Z, Y, X).
    origin
        First voxel of the box.
    inside
        The box, (Z, Y, X), bool.
    """

    shape: tuple[int, int, int]
    origin: tuple[int, int, int]
    inside: NDArray[np.bool_]

    ndim = 3
    dtype = np.dtype(bool)

    @staticmethod
    def around(shape: tuple[int, int, int], origin: tuple[int, int, int], inside: NDArray[np.bool_]) -> Mask:
        """Return a mask whose box is as small as can be."""
        ends = [_ends(np.asarray(inside.any(axis=axes))) for axes in ((1, 2), (0, 2), (0, 1))]
        box = tuple(slice(a, b) for a, b in ends)
        z, y, x = (start + a for start, (a, _) in zip(origin, ends, strict=True))
        return Mask(shape, (z, y, x), inside[box].copy())

    @property
    def voxels(self) -> int:
        """How many voxels are in it."""
        return int(self.inside.sum())

    @property
    def slices(self) -> range:
        """Slices that its box covers."""
        return range(self.origin[0], self.origin[0] + self.inside.shape[0])

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Its box in the volume."""
        z, y, x = (slice(a, a + size) for a, size in zip(self.origin, self.inside.shape, strict=True))
        return z, y, x

    def rectangles(self) -> dict[int, Rectangle]:
        """Return the smallest rectangle that holds it, in each slice that it is in."""
        _, y, x = self.box
        planes = ((z, plane) for z, plane in zip(self.slices, self.inside, strict=True) if plane.any())
        return {z: rectangle_of(plane, (y.start, x.start)) for z, plane in planes}

    def extents(self, number: int) -> list[Extent]:
        """Return the slices of an object with this id that is where the mask is."""
        _, y, x = self.box
        return [Extent(number, z, 0, 0, 0, y.start, y.stop, x.start, x.stop) for z in self.slices]

    def holds(self, point: tuple[int, int, int]) -> bool:
        """Whether a voxel (z, y, x) of the volume is in it."""
        if any(not side.start <= at < side.stop for at, side in zip(point, self.box, strict=True)):
            return False
        z, y, x = (at - side.start for at, side in zip(point, self.box, strict=True))
        return bool(self.inside[z, y, x])

    def within(self, z: int, y: slice, x: slice) -> NDArray[np.bool_]:
        """Return a window of slice z."""
        out = np.zeros((y.stop - y.start, x.stop - x.start), bool)
        if z in self.slices:
            lay(self.inside[z - self.origin[0]], self.origin[1:], out, y, x)
        return out

    def __getitem__(self, key: Any) -> NDArray[np.bool_]:
        """Return voxels by NumPy's rules; slices that are not asked for are not made."""
        first, *others = key if isinstance(key, tuple) else (key,)
        whole = slice(0, self.shape[1]), slice(0, self.shape[2])
        if isinstance(first, (int, np.integer)):
            z = range(self.shape[0])[first]  # an IndexError ends who iterates
            found: NDArray[np.bool_] = self.within(z, *whole)[tuple(others)]
            return found
        if not isinstance(first, slice):
            anywhere: NDArray[np.bool_] = np.asarray(self)[key]
            return anywhere
        planes = [self.within(z, *whole) for z in range(*first.indices(self.shape[0]))]
        stack = np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), bool)
        part: NDArray[np.bool_] = stack[(slice(None), *others)]
        return part

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        out = np.zeros(self.shape, bool)
        out[self.box] = self.inside
        return out if dtype is None else out.astype(dtype)


def _ends(along: NDArray[np.bool_]) -> tuple[int, int]:
    there = np.flatnonzero(along)
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)
