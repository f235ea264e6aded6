"""Labels on disk that a brush may paint: a stroke is seen at once, and written when it is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_dtn.segment.patches import Patch, patch_between

Plane = NDArray[Any]  # of the labels' type


class PaintedLabels:
    """Array-like (Z, Y, X) that keeps what is painted in memory.

    Parameters
    ----------
    labels
        On disk, (Z, Y, X), of any unsigned integers; only read.
    """

    ndim = 3

    def __init__(self, labels: Any) -> None:
        self._labels = labels
        self.dtype = np.dtype(labels.dtype)
        self.shape: tuple[int, ...] = labels.shape
        self.size = int(np.prod(labels.shape, dtype=object))
        self._painted: dict[int, Plane] = {}  # since the last stroke ended
        self._taken: dict[int, Plane] = {}  # on the way to the disk

    def take(self) -> list[Patch]:
        """Return what was painted since this was asked last."""
        patches = [patch_between(z, (0, 0), self._before(z), plane) for z, plane in self._painted.items()]
        self._taken |= self._painted
        self._painted = {}
        return [patch for patch in patches if patch is not None]

    def settle(self) -> None:
        """Read from the disk again: all that was taken is there."""
        self._taken = {}

    def __getitem__(self, key: Any) -> NDArray[Any]:
        z, *others = key if isinstance(key, tuple) else (key,)
        place = tuple(others) or (slice(None),)
        if isinstance(z, (int, np.integer)):
            plane = self._plane(int(z))
            found: Plane = np.asarray(self._labels[int(z)] if plane is None else plane)[place]
            return found
        if isinstance(z, slice):
            planes = [np.asarray(self[one, *place]) for one in range(*z.indices(self.shape[0]))]
            return np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), self.dtype)
        out = np.empty(np.broadcast(z, *place).shape, self.dtype)
        for one, where, there in _by_slice(z, place):
            out[where] = self[one][there]
        return out

    def __setitem__(self, key: Any, value: Any) -> None:
        z, *others = key
        if isinstance(z, (int, np.integer)):
            self._own(int(z))[tuple(others)] = value
        elif isinstance(z, slice):
            slices = range(*z.indices(self.shape[0]))
            values = np.broadcast_to(value, (len(slices), *np.shape(value)[-2:])) if np.ndim(value) else None
            for row, one in enumerate(slices):
                self._own(one)[tuple(others)] = value if values is None else values[row]
        else:
            for one, where, there in _by_slice(z, tuple(others)):
                self._own(one)[there] = np.broadcast_to(value, where.shape)[where]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _plane(self, z: int) -> Plane | None:
        return self._painted.get(z, self._taken.get(z))

    def _before(self, z: int) -> Plane:
        return self._taken[z] if z in self._taken else np.asarray(self._labels[z])

    def _own(self, z: int) -> Plane:
        """Return a slice of ours to paint on."""
        if z not in self._painted:
            self._painted[z] = np.array(self._before(z))
        return self._painted[z]


def _by_slice(z: Any, others: tuple[Any, ...]) -> list[tuple[int, NDArray[np.bool_], tuple[Any, ...]]]:
    """Sort fancy indices by slice: slice, which of them, and their places in it."""
    zs, *places = np.broadcast_arrays(z, *others)
    return [(int(one), zs == one, tuple(place[zs == one] for place in places)) for one in np.unique(zs)]
