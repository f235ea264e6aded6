"""A volume whose slices have larger or smaller pixels: computed where somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_dtn.volume.lazy import to_dask
from napari_dtn.volume.opening import Volume
from napari_dtn.words import size_words

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resampled(volume: Volume, factors: tuple[float, float]) -> Volume:
    """Return a volume with other pixels in its slices; the slices stay where they are.

    Values are interpolated linearly; where there will be fewer pixels, a Gaussian first takes away what these
    cannot show, as :func:`skimage.transform.resize` does. Levels become levels.

    Parameters
    ----------
    volume
        What is resampled; nothing of it is read yet.
    factors
        New pixels for each old one, along Y and X.

    Raises
    ------
    ValueError
        The volume's voxel size is not known.
    """
    if volume.voxel_size is None:
        raise ValueError(f"The voxel size of {volume.name} is not known; state it first.")
    levels = tuple(to_dask(_Resampled(level, factors), "zyx") for level in volume.levels)
    depth, *old = volume.voxel_size
    y, x = (side / factor for side, factor in zip(old, factors, strict=True))
    first = volume.translation  # its corner stays where it is, not its middle
    middle = (first[0], first[1] + (y - old[0]) / 2, first[2] + (x - old[1]) / 2)
    return Volume(levels, (depth, y, x), f"{volume.name} at {size_words((depth, y, x))}", translation=middle)


@dataclass(frozen=True, eq=False)
class _Resampled:
    """Array-like: ``(Z, Y, X)`` with other pixels, of which only what a window shows is read and computed."""

    array: Any
    factors: tuple[float, float]

    chunks: ClassVar[tuple[int, int, int]] = (1, 512, 512)
    ndim: ClassVar[int] = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Every pixel has its middle in the volume."""
        z, *sides = self.array.shape
        y, x = (max(round(side * factor), 1) for side, factor in zip(sides, self.factors, strict=True))
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """As it was."""
        found: np.dtype[Any] = self.array.dtype
        return found

    def __getitem__(self, key: tuple[Any, Any, Any]) -> NDArray[Any]:
        z, y, x = (np.arange(side)[one] for side, one in zip(self.shape, key, strict=True))
        rows, columns = np.atleast_1d(y), np.atleast_1d(x)
        planes = [self._plane(int(one), rows, columns) for one in np.atleast_1d(z)]
        found = np.array(planes, self.dtype).reshape(len(planes), len(rows), len(columns))
        return found[tuple(slice(None) if np.ndim(axis) else 0 for axis in (z, y, x))]

    def _plane(self, z: int, *axes: NDArray[Any]) -> NDArray[Any]:
        """Compute pixels of slice z: those of all of these rows and columns."""
        if not all(map(len, axes)):
            return np.zeros([len(axis) for axis in axes], self.dtype)
        places = [(one + 0.5) / factor - 0.5 for one, factor in zip(axes, self.factors, strict=True)]
        sigmas = [max((1 / factor - 1) / 2, 0) for factor in self.factors]
        y, x = map(_window, places, sigmas, self.array.shape[1:])
        pixels = gaussian_filter(np.asarray(self.array[z, y, x], np.float32), sigmas, mode="nearest")
        grid = np.meshgrid(places[0] - y.start, places[1] - x.start, indexing="ij")
        found = map_coordinates(pixels, grid, order=1, mode="nearest")
        rounded: NDArray[Any] = found if self.dtype.kind == "f" else np.rint(found)
        return rounded.astype(self.dtype)


def _window(places: NDArray[Any], sigma: float, length: int) -> slice:
    """Old pixels that have a part in new ones at these places: neighbours, and what the Gaussian reaches."""
    reach = int(4 * sigma + 0.5) + 1
    first, last = int(np.floor(places.min())) - reach, int(np.ceil(places.max())) + reach
    return slice(max(first, 0), min(last + 1, length))
