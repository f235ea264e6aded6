"""A stack of slices of which few are known: what the overlay of predictions shows."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, eq=False)
class Placed:
    """An array of a box of the volume, seen at its place: 0 around it.

    Parameters
    ----------
    array
        ``(Z, Y, X)`` or ``(C, Z, Y, X)``.
    box
        Its place.
    volume
        Shape of the volume, ``(Z, Y, X)``.
    """

    array: Any
    box: tuple[slice, slice, slice]
    volume: tuple[int, int, int]

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.uint8]:
        """Return pixels by one index or slice for each axis."""
        *classes, z, y, x = key
        if not self.box[0].start <= z < self.box[0].stop:
            return self._blank(classes, y, x)
        out = self._blank(classes, slice(None), slice(None))
        out[..., self.box[1], self.box[2]] = self.array[(*classes, z - self.box[0].start)]
        found: NDArray[np.uint8] = out[..., y, x]
        return found

    def _blank(self, classes: list[Any], y: Any, x: Any) -> NDArray[np.uint8]:
        shape = (*self.array.shape[:-3], *self.volume[1:])
        blank = np.broadcast_to(np.zeros((), np.uint8), shape)
        return np.array(blank[(*classes, y, x)])


@dataclass(eq=False)
class SliceStack:
    """Array-like ``(Z, Y, X)`` or ``(C, Z, Y, X)``, uint8, 0 where nothing is predicted.

    Previewed slices are kept in memory, those of a volume in its file; nothing else takes memory.

    Parameters
    ----------
    shape
        Its shape; all but Z is the shape of a slice.
    source
        The file's array, of this shape; only its complete slices are shown.
    maker
        What made the slices of the source: to know whether a slice is what would be predicted now.
    complete
        Slices of the source that are complete.
    """

    shape: tuple[int, ...]
    source: Any = None
    maker: Hashable = None
    complete: set[int] = field(default_factory=set)
    _planes: dict[int, tuple[Hashable, NDArray[np.uint8]]] = field(default_factory=dict, init=False)

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements, most of which are nowhere in memory."""
        return int(np.prod([int(side) for side in self.shape], dtype=object))

    def put(self, z: int, plane: NDArray[np.uint8], maker: Hashable = None) -> None:
        """Set slice z, ``(Y, X)`` or ``(C, Y, X)``."""
        self.complete.discard(z)
        self._planes[z] = maker, plane

    def over(self, source: Any, maker: Hashable) -> SliceStack:
        """Return a stack over another source, with those of the previews that its maker made too."""
        stack = SliceStack(self.shape, source, maker)
        stack._planes = {z: plane for z, plane in self._planes.items() if plane[0] == maker}
        return stack

    def add_complete(self, z: int) -> None:
        """Show slice z from the source from now on."""
        self._planes.pop(z, None)
        self.complete.add(z)

    def made_by(self, z: int) -> tuple[bool, Hashable]:
        """Return whether slice z is known, and what made it."""
        if z in self._planes:
            return True, self._planes[z][0]
        return z in self.complete, self.maker

    def holds(self, z: int, maker: Hashable) -> bool:
        """Whether slice z comes from the source, and ``maker`` made it."""
        return z in self.complete and maker == self.maker

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        keys = self._all_axes(key)
        axis = self.ndim - 3
        zs, others = keys[axis], (*keys[:axis], *keys[axis + 1 :])
        if isinstance(zs, (int, np.integer)):
            return self._plane(int(zs), others)
        planes = [self._plane(int(z), others) for z in np.arange(self.shape[axis])[zs]]
        if not planes:
            return np.zeros((*self.shape[:axis], 0, *self.shape[axis + 1 :]), self.dtype)[
                (*keys[:axis], slice(None), *keys[axis + 1 :])
            ]
        at = sum(not isinstance(one, (int, np.integer)) for one in keys[:axis])
        return np.stack(planes, axis=at)

    def _all_axes(self, key: Any) -> tuple[Any, ...]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(one is Ellipsis for one in keys):
            gap = next(i for i, one in enumerate(keys) if one is Ellipsis)
            missing = self.ndim - len(keys) + 1
            keys = (*keys[:gap], *[slice(None)] * missing, *keys[gap + 1 :])
        return (*keys, *[slice(None)] * (self.ndim - len(keys)))

    def _plane(self, z: int, key: tuple[Any, ...]) -> NDArray[np.uint8]:
        count = self.shape[-3]
        if not -count <= z < count:
            raise IndexError(f"slice {z} of {count}")
        z %= count
        if z in self._planes:
            plane: NDArray[np.uint8] = self._planes[z][1][key]
            return plane
        if z in self.complete:
            return np.asarray(self.source[(*key[:-2], z, *key[-2:])])
        blank = np.broadcast_to(np.zeros((), self.dtype), (*self.shape[:-3], *self.shape[-2:]))
        return np.array(blank[key])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)
