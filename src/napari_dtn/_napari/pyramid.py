"""Layers of several scales whose pixels are read, or made, where and when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import DTypeLike, NDArray

    from napari_dtn._napari.stack import SliceStack
    from napari_dtn.predict.mosaic import Picture

_READ_AT_ONCE = 2**23  # pixels of a whole prediction: more would be felt in the window


class Scales(Protocol):
    """Knows the pixels of every scale."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        ...

    def read(self, scale: int, z: int, y: slice, x: slice) -> NDArray[Any]:
        """Return a part of slice z at a scale, ``(height, width)``."""
        ...


@dataclass(frozen=True)
class ClassPicture:
    """One class of what Live has found.

    Parameters
    ----------
    picture
        Of all classes.
    number
        Of the class.
    """

    picture: Picture
    number: int

    @property
    def scales(self) -> list[tuple[int, int]]:
        """Shapes of a slice at every scale, ``(Y, X)``."""
        return self.picture.scales

    def read(self, scale: int, z: int, y: slice, x: slice) -> NDArray[np.uint8]:
        """Return a part of slice z at a scale, ``(height, width)``; 0 is unknown."""
        found: NDArray[np.uint8] = self.picture.read(scale, z, y, x)[self.number]
        return found


@dataclass(eq=False)
class Pyramid:
    """Slices that were previewed or predicted as a whole and, where there are none, a picture that grows.

    Parameters
    ----------
    stack
        Those slices.
    picture
        What Live has found.
    maker
        While Live is on, only slices of the stack that it made are shown: None for all of them.
    """

    stack: SliceStack
    picture: ClassPicture
    maker: Hashable = None

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    @property
    def levels(self) -> list[Level]:
        """The arrays of a multiscale layer, the finest first."""
        windows = [(range(self.stack.shape[0]), range(y), range(x)) for y, x in self.picture.scales]
        return [Level(self, scale, window) for scale, window in enumerate(windows)]

    def read(self, scale: int, z: int, y: slice, x: slice) -> NDArray[np.uint8]:
        """Return a part of slice z at a scale, ``(height, width)``."""
        step = 2**scale
        rows, columns = (slice(side.start * step, side.stop * step, step) for side in (y, x))
        if not self.has_whole(z, rows, columns, self.maker):
            return self.picture.read(scale, z, y, x)
        return self.stack[z, rows, columns]

    def has_whole(self, z: int, y: slice, x: slice, maker: Hashable) -> bool:
        """Tell whether the stack holds slice z, by ``maker`` (None: by anyone), and can show a part of it.

        A part that is too large to be read at once is shown from the picture.
        """
        known, by = self.stack.made_by(z)
        wanted = known and maker in (None, by)
        return wanted and (y.stop - y.start) * (x.stop - x.start) <= _READ_AT_ONCE


@dataclass(frozen=True, eq=False)
class Level:
    """Array-like: one scale of a pyramid, or a window of it.

    An index of its Z axis reads; slices alone only narrow the window, as napari does before it asks for a
    slice.

    Parameters
    ----------
    pyramid
        Knows the values.
    scale
        Which of its scales.
    window
        Indices along each axis.
    """

    pyramid: Scales
    scale: int
    window: tuple[range, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.pyramid.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(map(len, self.window))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.window)

    @property
    def size(self) -> int:
        """Number of elements, most of which are nowhere in memory."""
        return int(np.prod([int(side) for side in self.shape], dtype=object))

    def __getitem__(self, key: Any) -> Level | NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(one is Ellipsis for one in keys):
            gap = next(axis for axis, one in enumerate(keys) if one is Ellipsis)
            keys = (*keys[:gap], *[slice(None)] * (self.ndim - len(keys) + 1), *keys[gap + 1 :])
        keys = (*keys, *[slice(None)] * (self.ndim - len(keys)))
        window = tuple(axis[one] for axis, one in zip(self.window, keys, strict=True))
        if all(isinstance(one, range) for one in window):
            return Level(self.pyramid, self.scale, window)
        return self._read(window)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._read(self.window), dtype=dtype)

    def _read(self, window: tuple[range | int, ...]) -> NDArray[Any]:
        """Read by an index or a range for each axis; indices take their axis away."""
        axes = [one if isinstance(one, range) else range(one, one + 1) for one in window]
        zs, ys, xs = axes
        out = np.zeros((*map(len, axes),), self.dtype)
        for at, z in enumerate(zs):
            out[at] = self._plane(z, ys, xs)
        return out[tuple(slice(None) if isinstance(one, range) else 0 for one in window)]

    def _plane(self, z: int, ys: range, xs: range) -> NDArray[Any]:
        if not len(ys) or not len(xs):
            return np.zeros((len(ys), len(xs)), self.dtype)
        y, x = (slice(min(side), max(side) + 1) for side in (ys, xs))
        found = self.pyramid.read(self.scale, z, y, x)
        if ys.step == xs.step == 1:
            return found
        chosen: NDArray[Any] = found[np.array(ys)[:, None] - y.start, np.array(xs)[None] - x.start]
        return chosen
