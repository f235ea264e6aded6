"""An array inside a file becomes a lazy dask array."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.volume.stored import Native, StoredArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dask.array as da
    from numpy.typing import NDArray

    from napari_dtn.settings import VoxelSize

# Large enough that a slice is few chunks, small enough that a huge slice is never read as a whole.
_LARGEST_SIDE = 2048


@dataclass(frozen=True)
class Found:
    """What a file holds, before its axes are put in order.

    Parameters
    ----------
    levels
        Lazy arrays, finest first, all with the same axes.
    axes
        One letter for each axis.
    voxel_size
        Of the finest level, nm, ZYX; None where the file does not state it.
    translation
        Of the finest level, ZYX, in nm, or in voxels where the voxel size is not stated.
    """

    levels: tuple[da.Array, ...]
    axes: str
    voxel_size: VoxelSize | None = None
    translation: VoxelSize = (0.0, 0.0, 0.0)


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Turn whatever a library raises about a broken file into one error that names the file."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise ValueError(f"{path} cannot be read; is it damaged or incomplete? ({reason})") from error


class FileArray:
    """An array inside an open file, which another process opens for itself.

    Parameters
    ----------
    array
        What the library gives: any shape, read by slicing, from several threads.
    opener, *where
        How to open it again, the file first: only this is sent to another process.
    """

    def __init__(self, array: Any, opener: Callable[..., Any], *where: Any) -> None:
        self._array, self._opener, self._where = array, opener, where
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim = len(self.shape)
        self.chunks: tuple[int, ...] | None = getattr(array, "chunks", None)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with reading(self._where[0]):
            return np.asarray(self._array[key])

    def __reduce__(self) -> tuple[Callable[..., FileArray], tuple[Any, ...]]:
        return _reopen, (self._opener, *self._where)


def _reopen(opener: Callable[..., Any], *where: Any) -> FileArray:
    return FileArray(opener(*where), opener, *where)


def to_dask(array: Any, axes: str) -> da.Array:
    """Make a lazy array with one slice a chunk, in the machine's byte order.

    Parameters
    ----------
    array
        Has ``shape``, ``dtype``, slicing, and perhaps ``chunks``: those of its storage, which the lazy
        array's own never cut.
    axes
        One letter for each axis.
    """
    stored = getattr(array, "chunks", None) or array.shape
    chunks = tuple(_chunk(*one) for one in zip(axes.lower(), array.shape, stored, strict=True))
    return StoredArray.of(array if array.dtype.isnative else Native(array), chunks)


def _chunk(letter: str, size: int, stored: int) -> int:
    if letter in "yx":
        return min(size, stored * max(1, _LARGEST_SIDE // stored)) if stored else size
    return size if letter == "s" else min(size, 1)


def with_neighbours(array: Any, z: int, y: slice, x: slice, context: int = 0) -> NDArray[Any]:
    """Read a window of slice z and of its neighbours.

    Parameters
    ----------
    array
        ``(Z, Y, X)``, anything that slices to NumPy.
    z, y, x
        The slice, and the window in it.
    context
        Neighbouring slices above, and as many below; past the ends the last slice is repeated.

    Returns
    -------
    numpy.ndarray
        ``(2 * context + 1, height, width)``; the slice itself is in the middle.
    """
    first, last = max(z - context, 0), min(z + context, array.shape[0] - 1)
    there = np.asarray(array[first : last + 1, y, x])
    missing = (first - (z - context), z + context - last)
    return np.pad(there, (missing, (0, 0), (0, 0)), mode="edge") if any(missing) else there


class RecentWindows:
    """A lazy array whose windows of one slice, ``[z, y, x]``, are kept for a while once they are read.

    Slices are looked at again as each other's neighbours, and for defects: those that fit are read once.

    Parameters
    ----------
    array
        ``(Z, Y, X)``, anything that slices to NumPy.
    most
        Bytes that are kept; the windows that were read last.
    """

    def __init__(self, array: Any, most: int = 2**23) -> None:
        self._array, self._most = array, most
        self._first, self.shape, self.dtype = 0, tuple(array.shape), array.dtype
        self.ndim, self.chunks = array.ndim, array.chunks
        self._kept: dict[tuple[int, ...], NDArray[Any]] = {}
        self._lock = Lock()

    def __getitem__(self, key: tuple[int, slice, slice]) -> NDArray[Any]:
        z, y, x = self._first + key[0], key[1], key[2]
        place = z, y.start, y.stop, x.start, x.stop
        found = self._kept.get(place)
        if found is None:
            found = np.asarray(self._array[z, y, x])
            self._keep(place, found)
        return found

    def _keep(self, place: tuple[int, ...], window: NDArray[Any]) -> None:
        with self._lock:
            self._kept[place] = window
            while sum(one.nbytes for one in self._kept.values()) > self._most:
                del self._kept[next(iter(self._kept))]

    def slices(self, z: slice) -> RecentWindows:
        """Return some slices, counted from 0, which share what is kept."""
        part = copy(self)
        part._first, part.shape = self._first + z.start, (z.stop - z.start, *self.shape[1:])
        return part


def in_memory(array: da.Array, largest: int = 4 * 2**30) -> Any:
    """Return an array as NumPy where it takes no more than ``largest`` bytes, else as it is.

    For whoever reads many small windows: a window of a compressed stack costs a whole slice each time.
    """
    return array.compute() if array.nbytes <= largest else array  # type: ignore[no-untyped-call]
