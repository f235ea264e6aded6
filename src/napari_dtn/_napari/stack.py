"""A stack of slices of which few are known: what the overlay of predictions shows."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray


def by_class(array: Any) -> list[Any]:
    """Return ``(Z, Y, X)`` arrays: of ``(C, Z, Y, X)`` one for each class, read where somebody looks."""
    return [array] if array.ndim == 3 else [OfClass(array, number) for number in range(array.shape[0])]


@dataclass(frozen=True, eq=False)
class OfClass:
    """One class of an array ``(C, Z, Y, X)``, as an array.

    Parameters
    ----------
    array
        Of all classes.
    number
        Of the class.
    """

    array: Any
    number: int

    ndim: ClassVar[int] = 3

    @property
    def shape(self) -> tuple[int, ...]:
        """``(Z, Y, X)``."""
        return tuple(self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        found: np.dtype[Any] = self.array.dtype
        return found

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return what a key of the three axes chooses."""
        keys = key if isinstance(key, tuple) else (key,)
        return np.asarray(self.array[(self.number, *keys)])


@dataclass(frozen=True, eq=False)
class Placed:
    """An array of a box of the volume, seen at its place: 0 around it.

    Parameters
    ----------
    array
        ``(Z, Y, X)``.
    box
        Its place.
    volume
        Shape of the volume, ``(Z, Y, X)``.
    """

    array: Any
    box: tuple[slice, slice, slice]
    volume: tuple[int, int, int]

    def __getitem__(self, key: tuple[int, Any, Any]) -> NDArray[np.uint8]:
        """Return pixels of a slice by an index or slice for each axis."""
        z, y, x = key
        out = np.zeros(self.volume[1:], np.uint8)
        if self.box[0].start <= z < self.box[0].stop:
            out[self.box[1:]] = self.array[z - self.box[0].start]
        found: NDArray[np.uint8] = out[y, x]
        return found


@dataclass(eq=False)
class SliceStack:
    """Array-like ``(Z, Y, X)``, uint8, 0 where nothing is predicted.

    Previewed slices are kept in memory, those of a volume in its file; nothing else takes memory.

    Parameters
    ----------
    shape
        Its shape.
    source
        The file's array, of this shape; only its complete slices are shown.
    maker
        What made the slices of the source: to know whether a slice is what would be predicted now.
    complete
        Slices of the source that are complete.
    """

    shape: tuple[int, int, int]
    source: Any = None
    maker: Hashable = None
    complete: set[int] = field(default_factory=set)
    _planes: dict[int, tuple[Hashable, NDArray[np.uint8]]] = field(default_factory=dict, init=False)

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)
    ndim: ClassVar[int] = 3

    @property
    def size(self) -> int:
        """Number of elements, most of which are nowhere in memory."""
        return int(np.prod([int(side) for side in self.shape], dtype=object))

    def put(self, z: int, plane: NDArray[np.uint8], maker: Hashable = None) -> None:
        """Show this as slice z, ``(Y, X)``; the source keeps its own."""
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
        """Whether slice z is shown from the source, and ``maker`` made it."""
        return z in self.complete and z not in self._planes and maker == self.maker

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        zs, y, x = self._all_axes(key)
        if isinstance(zs, (int, np.integer)):
            return self._plane(int(zs), y, x)
        planes = [self._plane(int(z), y, x) for z in np.arange(self.shape[0])[zs]]
        return np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), self.dtype)[:, y, x]

    def _all_axes(self, key: Any) -> tuple[Any, ...]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(one is Ellipsis for one in keys):
            gap = next(i for i, one in enumerate(keys) if one is Ellipsis)
            missing = self.ndim - len(keys) + 1
            keys = (*keys[:gap], *[slice(None)] * missing, *keys[gap + 1 :])
        return (*keys, *[slice(None)] * (self.ndim - len(keys)))

    def _plane(self, z: int, y: Any, x: Any) -> NDArray[np.uint8]:
        count = self.shape[0]
        if not -count <= z < count:
            raise IndexError(f"slice {z} of {count}")
        z %= count
        if z in self._planes:
            plane: NDArray[np.uint8] = self._planes[z][1][y, x]
            return plane
        if z in self.complete:
            return np.asarray(self.source[z, y, x])
        return np.array(np.broadcast_to(np.zeros((), self.dtype), self.shape[1:])[y, x])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)
