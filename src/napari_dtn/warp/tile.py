"""The warp T of one tile: where each pixel of the warped map looks, and where a pixel is looked at from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_dtn.warp.spline import Float, Spline

_NEWTON_STEPS = 8
_ROUNDING = 1e-9  # of a barycentric coordinate: no pixel may fall between two triangles


@dataclass(frozen=True)
class Place:
    """Where the warped map holds what it shows of a pixel: T(place) = pixel.

    Parameters
    ----------
    y, x
        The place, in pixels of the slice.
    solutions
        How many places there are. With 0, no sample came from the pixel, its value is filled in from its
        neighbours, and the place is the one whose sample came nearest.
    """

    y: float
    x: float
    solutions: int


@dataclass(frozen=True, eq=False)
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

    grid: Float
    fiducials: Float
    rest: Float
    level: int
    origin: tuple[int, int]

    @property
    def stride(self) -> int:
        """Pixels of the image along a pixel of the map."""
        return 1 << (self.level - 1)

    @property
    def _last(self) -> Float:
        return np.maximum(np.array(self.grid.shape[:2], dtype=np.float64) - 1, 1)

    def to_pixels(self, points: Float) -> Float:
        """Normalised ``(..., 2)`` ``(x, y)`` -> pixels of the slice, ``(y, x)``."""
        on_map = (np.asarray(points, np.float64)[..., ::-1] + 1) / 2 * self._last
        return np.asarray(self.origin) + self.stride * on_map + (self.stride - 1) / 2

    def to_normalised(self, pixels: Float) -> Float:
        """Pixels of the slice ``(..., 2)`` ``(y, x)`` -> normalised ``(x, y)``."""
        on_map = (np.asarray(pixels, np.float64) - self.origin - (self.stride - 1) / 2) / self.stride
        return (2 * on_map / self._last - 1)[..., ::-1]

    @cached_property
    def _spline(self) -> Spline:
        return Spline(self.rest, self.fiducials)

    def look(self, pixels: Float) -> Float:
        """T in pixels of the slice, ``(..., 2)`` ``(y, x)``: where the warped map looks."""
        return self.to_pixels(self._spline.at(self.to_normalised(pixels)))

    def jacobian(self, pixels: Float) -> Float:
        """Return the derivative of :meth:`look`, ``(..., 2, 2)``: entry i, j is that of i (y, x) along j."""
        normalised = self._spline.jacobian(self.to_normalised(pixels))[..., ::-1, ::-1]
        return normalised * (self._last[:, None] / self._last)

    def determinant(self, pixels: Float) -> Float:
        """Return the Jacobian determinant of T at pixels ``(..., 2)`` ``(y, x)``.

        1 keeps areas; below 1 the network looks closer; above, wider; below 0 the map folds over.
        """
        return np.asarray(np.linalg.det(self.jacobian(pixels)))

    @property
    def arrows(self) -> Float:
        """``(K, 2, 2)``: for every fiducial point its start and its displacement, ``(y, x)`` in pixels."""
        start = self.to_pixels(self.rest)
        return np.stack([start, self.to_pixels(self.fiducials) - start], axis=1)

    def grid_lines(self, count: int = 8) -> list[Float]:
        """Return ``count`` evenly spaced rows and columns as T bends them, ``(P, 2)`` ``(y, x)`` each."""
        points = self.to_pixels(self.grid)
        rows, columns = (np.linspace(0, side - 1, count).round().astype(int) for side in points.shape[:2])
        lines = [points[row] for row in np.unique(rows)]
        return lines + [points[:, column] for column in np.unique(columns)]

    def find(self, pixel: tuple[float, float]) -> Place:
        r"""Return :math:`T^{-1}` of a pixel ``(y, x)`` of the slice.

        The cells of the map, as T bends them, are cut into triangles. Each that holds the pixel begins
        Newton's method. Of several solutions it is the one nearest to the pixel among those with a positive
        determinant, as the decoder "quadrilaterals" has it; if all are turned over, the nearest of these.
        """
        corners = self._corners
        looked = self.look(corners)
        starts = _starts(corners, looked, np.asarray(pixel, np.float64))
        if not len(starts):
            nearest = np.square(looked - pixel).sum(-1).argmin()
            y, x = corners.reshape(-1, 2)[nearest]
            return Place(float(y), float(x), 0)
        places = np.unique(self._newton(starts, np.asarray(pixel, np.float64)).round(6), axis=0)
        turned = self.determinant(places) <= 0
        y, x = places[np.lexsort([np.square(places - pixel).sum(1), turned])[0]]
        return Place(float(y), float(x), len(places))

    @property
    def _corners(self) -> Float:
        """Corners of the map's pixels, ``(h + 1, w + 1, 2)``, in pixels of the slice."""
        y, x = (
            start - 0.5 + self.stride * np.arange(side + 1)
            for start, side in zip(self.origin, self.grid.shape[:2], strict=True)
        )
        return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)

    def _newton(self, places: Float, pixel: Float) -> Float:
        """Solve T(place) = pixel from each start; a step that leads away from the pixel is not taken."""
        for _ in range(_NEWTON_STEPS):
            miss = pixel - self.look(places)
            step = np.einsum("nij,nj->ni", np.linalg.pinv(self.jacobian(places)), miss)
            better = np.square(pixel - self.look(places + step)).sum(1) < np.square(miss).sum(1)
            places = np.where(better[:, None], places + step, places)
        return places


def _starts(corners: Float, looked: Float, pixel: Float) -> Float:
    """Places ``(S, 2)`` by linear interpolation, in each bent triangle that holds the pixel."""
    triangles, bent = (
        np.concatenate(
            [
                np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, :-1]], -2).reshape(-1, 3, 2),
                np.stack([p[1:, 1:], p[1:, :-1], p[:-1, 1:]], -2).reshape(-1, 3, 2),
            ]
        )
        for p in (corners, looked)
    )
    a, e, f = bent[:, 0], bent[:, 1] - bent[:, 0], bent[:, 2] - bent[:, 0]
    area = _cross(e, f)
    area = np.where(area == 0, np.inf, area)
    u, v = _cross(pixel - a, f) / area, _cross(e, pixel - a) / area
    held = (np.minimum(np.minimum(u, v), 1 - u - v) >= -_ROUNDING) & np.isfinite(area)
    weights = np.stack([1 - u - v, u, v], axis=-1)[held]
    return np.asarray(np.einsum("nk,nkd->nd", weights, triangles[held]))


def _cross(p: Float, q: Float) -> Float:
    return np.asarray(p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0])
