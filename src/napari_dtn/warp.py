"""What a learned warp looks like: its points, lines and displacements, in pixels of the slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Warp:
    r"""The warp T of one tile at one level of the network.

    Pixel i of a map of stride s covers the image's pixels s i to s i + s - 1, so its centre lies at
    :math:`s i + (s - 1) / 2`; the normalised -1 and 1 are the centres of the map's first and last pixel.

    Parameters
    ----------
    grid
        ``(h, w, 2)``, normalised ``(x, y)``: the point of the input map that each pixel of the warped map
        samples.
    fiducials, rest
        ``(K, 2)``, normalised ``(x, y)``: where the fiducial points went, and where they started.
    level
        Counted from 1; level n has stride 2 ** (n - 1).
    origin
        First pixel ``(y, x)`` of the tile in the slice.
    """

    grid: NDArray[np.float64]
    fiducials: NDArray[np.float64]
    rest: NDArray[np.float64]
    level: int
    origin: tuple[int, int]

    @property
    def stride(self) -> int:
        """Pixels of the image along a pixel of the map."""
        return 1 << (self.level - 1)

    def to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normalised ``(..., 2)`` ``(x, y)`` -> pixels of the slice, ``(y, x)``."""
        last = np.array(self.grid.shape[:2], dtype=np.float64) - 1
        on_map = (np.asarray(points, np.float64)[..., ::-1] + 1) / 2 * last
        return np.asarray(self.origin) + self.stride * on_map + (self.stride - 1) / 2

    @property
    def arrows(self) -> NDArray[np.float64]:
        """``(K, 2, 2)``: for every fiducial point its start and its displacement, ``(y, x)`` in pixels."""
        start = self.to_pixels(self.rest)
        return np.stack([start, self.to_pixels(self.fiducials) - start], axis=1)

    def grid_lines(self, count: int = 8) -> list[NDArray[np.float64]]:
        """Return ``count`` evenly spaced rows and columns as T bends them, ``(P, 2)`` ``(y, x)`` each."""
        points = self.to_pixels(self.grid)
        rows = _spread(points.shape[0], count)
        columns = _spread(points.shape[1], count)
        return [points[row] for row in rows] + [points[:, column] for column in columns]

    def displacement(self) -> float:
        """Return the mean distance by which the grid moved, in pixels."""
        y, x = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in self.grid.shape[:2])
        still = np.stack(np.meshgrid(x, y), axis=-1)
        return float(np.linalg.norm(self.to_pixels(self.grid) - self.to_pixels(still), axis=-1).mean())

    def determinant(self) -> NDArray[np.float64]:
        """Return the Jacobian determinant of T by finite differences, ``(h - 1, w - 1)``.

        1 keeps areas; below 1 the network looks closer; above, wider; below 0 the map folds over.
        """
        points = self.to_pixels(self.grid) / self.stride
        down = points[1:, :-1] - points[:-1, :-1]
        right = points[:-1, 1:] - points[:-1, :-1]
        return np.asarray(down[..., 0] * right[..., 1] - down[..., 1] * right[..., 0])


def _spread(length: int, count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.intp))
