"""A lazy array of any size, a part of which is read in the time of that part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StoredArray(da.Array):
    """A dask array of what is stored; a box of it is cut out of the storage before dask hears of it.

    dask looks at every chunk of an array whenever a part of it is read: a tenth of a second at a terabyte,
    minutes at a petabyte. Here a box is a small array of its own, with no more chunks than it touches. And
    NumPy gets it as the storage gives it, without dask's scheduler: napari registers a cache there for the
    whole process, which fails where two threads compute at a time.
    """

    __slots__ = ("_sizes", "_starts", "_stored")
    _stored: Any
    _sizes: tuple[int, ...]
    _starts: tuple[int, ...]

    @staticmethod
    def of(stored: Any, sizes: tuple[int, ...], starts: tuple[int, ...] = ()) -> StoredArray:
        """Make one.

        Parameters
        ----------
        stored
            Has ``shape``, ``dtype`` and slicing.
        sizes
            Of the chunks along each axis.
        starts
            Where in a chunk each axis begins; at 0 by default.
        """
        starts = starts or (0,) * len(sizes)
        chunks = tuple(map(_cut, starts, stored.shape, sizes))
        meta = np.empty((0,) * len(chunks), stored.dtype)  # otherwise dask reads to learn the type
        # No name from the content: a file that was written again is another array for every cache.
        plain = da.from_array(stored, chunks=chunks, name=False, meta=meta, fancy=False)  # type: ignore[no-untyped-call]
        graph = plain.dask, plain.name, plain.chunks
        made: StoredArray = StoredArray.__new__(StoredArray, *graph, meta=meta)  # type: ignore[no-untyped-call]
        made._stored, made._sizes, made._starts = stored, sizes, starts
        return made

    def __getitem__(self, index: Any) -> da.Array:
        key = _plain_key(index, self.shape)
        if key is None:
            return self._by_dask(index)
        if any(isinstance(one, range) for one in key):
            return self._box(key)
        pixel = tuple(range(one, one + 1) for one in key if isinstance(one, int))
        return self._box(pixel)._by_dask((0,) * self.ndim)

    def __array__(self, dtype: Any = None, copy: Any = None, **kwargs: Any) -> NDArray[Any]:
        return np.asarray(self._stored[(slice(None),) * self.ndim], dtype=dtype)

    def _box(self, key: tuple[int | range, ...]) -> StoredArray:
        kept = [
            (size, (start + one.start) % size)
            for one, size, start in zip(key, self._sizes, self._starts, strict=True)
            if isinstance(one, range)
        ]
        sizes, starts = zip(*kept, strict=True)
        return StoredArray.of(_Part(self._stored, key), sizes, starts)

    def _by_dask(self, index: Any) -> da.Array:
        found: da.Array = super().__getitem__(index)  # type: ignore[no-untyped-call]
        return found


class Computed:
    """A dask array as storage: parts of it are computed without what others have registered with dask.

    Parameters
    ----------
    array
        In the byte order of any machine.
    """

    def __init__(self, array: da.Array) -> None:
        self._array = array
        self.shape, self.ndim, self.chunks = array.shape, array.ndim, array.chunksize
        self.dtype = array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        found: da.Array = self._array[key]
        return np.asarray(found.compute(callbacks=()))  # type: ignore[no-untyped-call]


class Native:
    """An array in the machine's byte order.

    Parameters
    ----------
    array
        Has ``shape``, ``dtype`` and slicing.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.ndim = array.shape, len(array.shape)
        self.dtype = array.dtype.newbyteorder("=")

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._array[key], self.dtype)


@dataclass(frozen=True, eq=False)
class _Part:
    """A box of a stored array: an index or a range for each of its axes."""

    stored: Any
    key: tuple[int | range, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(one) for one in self.key if isinstance(one, range))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.stored.dtype
        return dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        chosen = iter(_for_each_axis(index, self.ndim))
        picked = [one[next(chosen)] if isinstance(one, range) else one for one in self.key]
        box = np.asarray(self.stored[tuple(map(_bounds, picked))])
        return box[tuple(slice(None, None, one.step) if isinstance(one, range) else 0 for one in picked)]


def _bounds(picked: int | range) -> slice:
    """Return where the storage is read for an index or a range."""
    if isinstance(picked, int):
        return slice(picked, picked + 1)
    return slice(min(picked), max(picked) + 1) if picked else slice(0, 0)


def _plain_key(index: Any, shape: tuple[int, ...]) -> tuple[int | range, ...] | None:
    """Return an index or a range for each axis; None for what is no box: lists, masks, steps, nothing."""
    given = _for_each_axis(index, len(shape))
    if len(given) != len(shape) or not all(isinstance(one, slice | int | np.integer) for one in given):
        return None
    key = tuple(range(size)[one] for one, size in zip(given, shape, strict=True))
    odd = any(isinstance(one, range) and (one.step != 1 or not one) for one in key)
    return None if odd else key


def _for_each_axis(index: Any, ndim: int) -> tuple[Any, ...]:
    """Write out what an index leaves open."""
    given = index if isinstance(index, tuple) else (index,)
    if any(one is Ellipsis for one in given):
        at = next(axis for axis, one in enumerate(given) if one is Ellipsis)
        given = (*given[:at], *[slice(None)] * (ndim - len(given) + 1), *given[at + 1 :])
    return (*given, *[slice(None)] * (ndim - len(given)))


def _cut(start: int, length: int, size: int) -> tuple[int, ...]:
    """Return the lengths of the chunks of an axis; the first one has lost ``start``."""
    first = min(size - start, length)
    whole, rest = divmod(length - first, size) if size else (0, 0)
    return (first, *[size] * whole, *([rest] if rest else []))
