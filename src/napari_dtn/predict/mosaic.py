"""What is predicted of a volume so far, at every scale: put in tile by tile, read as it is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.bounded import Bounded
from napari_dtn.volume.pyramid import coarser

Pixels = NDArray[np.uint8]
SIDE = 256  # of a chunk
COMPLETE = 255  # weight of a pixel with all its tiles
_LARGEST = 512  # side of the coarsest scale: a viewer reads all of it for each slice


def scales_of(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shapes of a slice at every scale, each half of the one before; the last one is small."""
    shapes = [shape]
    while max(shapes[-1]) > _LARGEST:
        y, x = coarser(shapes[-1])
        shapes.append((y, x))
    return shapes


def slice_of_level(z: int, count: int, depth: int) -> int:
    """Return the slice, of a level with ``depth`` ones, that holds the middle of slice z of ``count``."""
    return (2 * z + 1) * depth // (2 * count)


class Mosaic:
    """The slices of one level of a volume, in chunks that exist where something is known.

    A chunk is uint8 ``(classes + 1, SIDE, SIDE)``: round(255 p) of each class, then the weight that these
    were made from, 0 where nothing is known and :data:`COMPLETE` where no tile is missing. Chunks of the
    scales above hold the means of 2 x 2 pixels, of those that are known.

    Parameters
    ----------
    level
        Of the volume.
    shape
        Of its slices, ``(Y, X)``.
    classes
        Maps of a prediction.
    chunks
        Where chunks are kept; those of other levels too.
    """

    def __init__(self, level: int, shape: tuple[int, int], classes: int, chunks: Bounded) -> None:
        self.shapes = scales_of(shape)
        self._level, self._classes, self._chunks = level, classes, chunks
        self._lock = threading.Lock()  # between the one that pastes and the one that shows

    def paste(self, z: int, y: int, x: int, pixels: Pixels) -> None:
        """Put in a part of slice z at pixel (y, x): ``(classes + 1, height, width)``, the weight last.

        A pixel is replaced by one that was made from as much, or more.
        """
        region = slice(y, y + pixels.shape[1]), slice(x, x + pixels.shape[2])
        with self._lock:
            changed = set()
            for place, inside, outside in _chunks_over(*region):
                chunk = self._chunk(z, 0, place)
                there, new = chunk[:, *inside], pixels[:, *outside]
                np.copyto(there, new, where=new[-1] >= there[-1])
                self._chunks.put((self._level, 0, z, *place), chunk)
                changed.add(place)
            self._reduce(z, changed)

    def _reduce(self, z: int, changed: set[tuple[int, int]]) -> None:
        """Bring the scales above up to date."""
        half = SIDE // 2
        for scale in range(1, len(self.shapes)):
            parents = set()
            for y, x in changed:
                parent = y // 2, x // 2
                chunk = self._chunk(z, scale, parent)
                at = slice(y % 2 * half, (y % 2 + 1) * half), slice(x % 2 * half, (x % 2 + 1) * half)
                chunk[:, *at] = _halved(self._chunk(z, scale - 1, (y, x)))
                self._chunks.put((self._level, scale, z, *parent), chunk)
                parents.add(parent)
            changed = parents

    def _chunk(self, z: int, scale: int, place: tuple[int, int]) -> Pixels:
        found = self._chunks.get((self._level, scale, z, *place))
        return np.zeros((self._classes + 1, SIDE, SIDE), np.uint8) if found is None else found

    def read(self, z: int, scale: int, y: slice, x: slice) -> Pixels | None:
        """Return a part of slice z at a scale, with the weight last; None where nothing of it is known."""
        out = None
        with self._lock:
            for place, inside, outside in _chunks_over(y, x):
                chunk = self._chunks.get((self._level, scale, z, *place))
                if chunk is None:
                    continue
                if out is None:
                    shape = y.stop - y.start, x.stop - x.start
                    out = np.zeros((self._classes + 1, *shape), np.uint8)
                out[:, *outside] = chunk[:, *inside]
        return out

    def lacks(self, z: int, y: slice, x: slice) -> bool:
        """Tell whether any pixel of a part of slice z is not made from all of its tiles."""
        found = self.read(z, 0, y, x)
        return found is None or bool(found[-1].min() < COMPLETE)


def _chunks_over(
    y: slice, x: slice
) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]]:
    """Yield the chunks that a region touches: their place, the part in the chunk, that in the region."""
    ys, xs = (range(side.start // SIDE, -(-side.stop // SIDE)) for side in (y, x))
    for place in product(ys, xs):
        inside, outside = [], []
        for at, side in zip(place, (y, x), strict=True):
            start, stop = max(at * SIDE, side.start), min((at + 1) * SIDE, side.stop)
            inside.append(slice(start - at * SIDE, stop - at * SIDE))
            outside.append(slice(start - side.start, stop - side.start))
        yield place, (inside[0], inside[1]), (outside[0], outside[1])


def _halved(chunk: Pixels) -> Pixels:
    """Return the means of 2 x 2 pixels, of the known ones (the others are 0), and the largest weight."""
    quarters = np.stack([chunk[:, y::2, x::2] for y, x in product((0, 1), (0, 1))])
    known = np.maximum((quarters[:, -1] > 0).sum(axis=0, dtype=np.uint16), 1)
    total = quarters.sum(axis=0, dtype=np.uint16)
    means: Pixels = ((total + known // 2) // known).astype(np.uint8)
    means[-1] = quarters[:, -1].max(axis=0)
    return means


@dataclass(frozen=True, eq=False)
class Picture:
    """A volume's mosaics, one over the other: the finest level lies on top.

    Parameters
    ----------
    shape
        Of the volume, ``(Z, Y, X)``.
    classes
        Maps of a prediction.
    mosaics
        Of the volume's levels, the finest first.
    depths
        Slices of each level.
    """

    shape: tuple[int, int, int]
    classes: int
    mosaics: Sequence[Mosaic]
    depths: Sequence[int]

    @property
    def scales(self) -> list[tuple[int, int]]:
        """Shapes of a slice at every scale, ``(Y, X)``."""
        return self.mosaics[0].shapes

    def read(self, scale: int, z: int, y: slice, x: slice) -> Pixels:
        """Return a part of slice z at a scale, uint8 ``(classes, height, width)``; 0 is unknown."""
        out = np.zeros((self.classes, y.stop - y.start, x.stop - x.start), np.uint8)
        unknown = np.ones(out.shape[1:], bool)
        for mosaic, depth in zip(self.mosaics, self.depths, strict=True):
            found = self._resampled(mosaic, slice_of_level(z, self.shape[0], depth), scale, y, x)
            if found is not None:
                here = unknown & (found[-1] > 0)
                np.copyto(out, found[:-1], where=here)
                unknown ^= here
            if not unknown.any():
                break
        return out

    def _resampled(self, mosaic: Mosaic, z: int, scale: int, y: slice, x: slice) -> Pixels | None:
        """Read a mosaic at its nearest scale, and repeat or leave out pixels where that is another one."""
        factor = self.shape[2] / mosaic.shapes[0][1]
        nearest = int(np.clip(round(scale - np.log2(factor)), 0, len(mosaic.shapes) - 1))
        rows, columns = (
            np.minimum(((np.arange(side.start, side.stop) + 0.5) * there / here).astype(np.intp), there - 1)
            for side, here, there in zip((y, x), self.scales[scale], mosaic.shapes[nearest], strict=True)
        )
        found = mosaic.read(z, nearest, *(slice(int(at[0]), int(at[-1]) + 1) for at in (rows, columns)))
        if found is None or mosaic.shapes[nearest] == self.scales[scale]:
            return found
        return found[:, rows[:, None] - rows[0], columns[None] - columns[0]]


def weighed(total: NDArray[Any], weight: NDArray[Any]) -> Pixels:
    """Return what tiles make of a part of a slice.

    Parameters
    ----------
    total
        Weighted sum of the tiles, each 0 to 255, ``(classes, height, width)``.
    weight
        Sum of the weights, ``(height, width)``.
    """
    known = weight > 0
    values = np.rint(np.divide(total, weight, where=known, out=np.zeros_like(total)))
    share = np.where(known, np.maximum(np.rint(COMPLETE * weight), 1), 0)
    return np.concatenate([values, share[None]]).clip(0, 255).astype(np.uint8)
