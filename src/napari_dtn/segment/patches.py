"""What an edit changes in a slice, small enough to keep for ever: enough to do it, and to undo it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]  # y0, y1, x0, x1

_QUICK = 1  # zlib's fastest level: ids come in long runs, which any level makes small


@dataclass(frozen=True)
class Patch:
    """Changed pixels of one slice.

    Parameters
    ----------
    z
        The slice.
    y, x
        Half-open ranges that hold all of them: the patch's box.
    where
        One bit for each pixel of the box, 1 where it changes; compressed.
    before, after
        Ids of these pixels in reading order, uint32; compressed.
    """

    z: int
    y: tuple[int, int]
    x: tuple[int, int]
    where: bytes
    before: bytes
    after: bytes

    @property
    def place(self) -> tuple[int, slice, slice]:
        """Index of the box in a volume (Z, Y, X)."""
        return self.z, slice(*self.y), slice(*self.x)

    @property
    def inverse(self) -> Patch:
        """The patch that undoes this one."""
        return Patch(self.z, self.y, self.x, self.where, self.after, self.before)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.where) + len(self.before) + len(self.after)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which pixels of the box change, ``(height, width)``."""
        height, width = self.y[1] - self.y[0], self.x[1] - self.x[0]
        bits = np.frombuffer(zlib.decompress(self.where), np.uint8)
        return np.unpackbits(bits, count=height * width).astype(bool).reshape(height, width)

    @property
    def old(self) -> NDArray[np.uint32]:
        """Ids of the changed pixels before."""
        return _ids(self.before)

    @property
    def new(self) -> NDArray[np.uint32]:
        """Ids of the changed pixels afterwards."""
        return _ids(self.after)

    def on(self, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the ids of the box, ``(height, width)``, as they are afterwards; doing it twice is once."""
        out = ids.copy()
        out[self.changed] = self.new
        return out


def patch_between(
    z: int, origin: tuple[int, int], before: NDArray[np.uint32], after: NDArray[np.uint32]
) -> Patch | None:
    """Return what leads from one state of a part of slice z to another; None where they are equal.

    Parameters
    ----------
    z, origin
        The slice, and the first pixel ``(y, x)`` of the part.
    before, after
        Ids, ``(height, width)``.
    """
    changed = before != after
    if not changed.any():
        return None
    y0, y1, x0, x1 = rectangle_of(changed)
    inside = changed[y0:y1, x0:x1]
    y, x = (int(start) for start in origin)
    return Patch(
        int(z),
        (y + y0, y + y1),
        (x + x0, x + x1),
        zlib.compress(np.packbits(inside).tobytes(), _QUICK),
        _packed(before[y0:y1, x0:x1][inside]),
        _packed(after[y0:y1, x0:x1][inside]),
    )


def rectangle_of(plane: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> Rectangle:
    """Return the smallest rectangle that holds the True pixels of a plane, of which there are some.

    Parameters
    ----------
    plane
        ``(height, width)``.
    corner
        Its first pixel in the slice, (y, x).
    """
    (y0, y1), (x0, x1) = (_ends(np.asarray(plane.any(axis=axis))) for axis in (1, 0))
    return corner[0] + y0, corner[0] + y1, corner[1] + x0, corner[1] + x1


def _ends(along: NDArray[np.bool_]) -> tuple[int, int]:
    there = np.flatnonzero(along)
    return int(there[0]), int(there[-1]) + 1


def _packed(ids: NDArray[np.uint32]) -> bytes:
    return zlib.compress(np.ascontiguousarray(ids, np.uint32).tobytes(), _QUICK)


def _ids(packed: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(zlib.decompress(packed), np.uint32)
