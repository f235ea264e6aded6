"""Small views of the slices of a volume of any size: what cheap statistics look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from napari_dtn.volume.opening import Volume

WHOLE = 1024  # pixels of a side up to which a slice is looked at as a whole
WINDOW = 512  # of a larger slice
_ACROSS = 2  # windows along each axis
_VIEW = 256  # pixels of a side of a view, at most
_RUN = 8  # neighbouring slices that are looked at together where not all are

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Reads views: a slice as a whole where it is small, or at a coarser level; else windows of it.

    Parameters
    ----------
    level
        The array that is read, (Z, Y, X).
    number
        Which level of the volume it is.
    slices
        Which slices are looked at.
    windows
        Where, in pixels of the level.
    factors
        Pixels of the finest level along Y and X for one of a view.
    """

    level: da.Array
    number: int
    slices: tuple[int, ...]
    windows: tuple[Window, ...]
    factors: tuple[float, float]

    @staticmethod
    def of(volume: Volume, most: int) -> Sampler:
        """Plan to look at all slices of a volume, or at ``most`` of them in runs that are spread evenly."""
        levels = [level for level in volume.levels if level.shape[0] == volume.shape[0]]
        small = (i for i, level in enumerate(levels) if max(level.shape[1:]) <= WHOLE)
        number = next(small, len(levels) - 1)
        height, width = levels[number].shape[1:]
        windows = tuple((y, x) for y in _along(height) for x in _along(width))
        shrink = _shrink(windows[0])
        y, x = (fine / side * shrink for fine, side in zip(volume.shape[1:], (height, width), strict=True))
        return Sampler(levels[number], number, _spread(volume.shape[0], most), windows, (y, x))

    def pixels(self, z: int) -> NDArray[np.float32]:
        """Read the windows of slice z, (windows, height, width); what is not finite becomes 0."""
        windows = np.stack([np.asarray(self.level[z, y, x]) for y, x in self.windows])
        found = windows.astype(np.float32)
        finite = windows.dtype.kind != "f"
        return found if finite else np.nan_to_num(found, copy=False, posinf=0, neginf=0)

    def view(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shrink windows to views by means of blocks."""
        by = _shrink(self.windows[0])
        count, height, width = pixels.shape
        blocks = pixels[:, : height // by * by, : width // by * by]
        rows = blocks.reshape(count, height // by, by, -1).sum(axis=2)  # far quicker than both axes at once
        means: NDArray[np.float32] = rows.reshape(count, height // by, width // by, by).sum(axis=3) / by**2
        return means


def _along(length: int) -> list[slice]:
    """One window over all, or windows in the middle of equal parts."""
    if length <= WHOLE:
        return [slice(0, length)]
    starts = (int((part + 0.5) * length / _ACROSS) - WINDOW // 2 for part in range(_ACROSS))
    return [slice(start, start + WINDOW) for start in starts]


def _shrink(window: Window) -> int:
    sides: list[int] = [side.stop - side.start for side in window]
    return max(1, -(-max(sides) // _VIEW))


def _spread(count: int, most: int) -> tuple[int, ...]:
    if count <= most:
        return tuple(range(count))
    starts = np.linspace(0, count - _RUN, max(1, most // _RUN)).round().astype(int)
    return tuple(sorted({int(start) + step for start in starts for step in range(_RUN)}))
