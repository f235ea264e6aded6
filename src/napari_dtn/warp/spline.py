r"""The thin-plate spline through moved points, at any point of the plane, with its derivative.

.. math::

    T(q) = A \, (1, x, y)^T + \sum_k w_k \, \phi(\lVert q - F'_k \rVert), \qquad \phi(r) = r^2 \ln r,

    \frac{\partial T}{\partial q} = A_{xy} + \sum_k w_k \, (2 \ln r_k + 1) \, (q - F'_k)^T.

``nn.tps`` holds the same spline as a constant matrix for the grid of a network; here it is a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spline:
    """The thin-plate spline that carries points to others.

    Parameters
    ----------
    rest, moved
        ``(K, 2)``, not all on one line: T(rest) = moved.
    """

    rest: Float
    moved: Float

    @cached_property
    def _coefficients(self) -> Float:
        """W and A, ``(K + 3, 2)``."""
        count = len(self.rest)
        delta = np.zeros((count + 3, count + 3))
        delta[:count] = self._rows(self.rest)
        delta[count:, :count] = delta[:count, count:].T
        return np.asarray(np.linalg.solve(delta, np.vstack([self.moved, np.zeros((3, 2))])))

    def _offsets(self, points: Float) -> tuple[Float, Float]:
        """Vectors from every fiducial point, ``(..., K, 2)``, and the logarithm of their squared lengths."""
        offsets = points[..., None, :] - self.rest
        squared = np.square(offsets).sum(-1)
        return offsets, np.log(np.where(squared > 0, squared, 1))

    def _rows(self, points: Float) -> Float:
        offsets, log_squared = self._offsets(points)
        kernel = 0.5 * np.square(offsets).sum(-1) * log_squared
        return np.concatenate([kernel, np.ones_like(points[..., :1]), points], axis=-1)

    def at(self, points: Float) -> Float:
        """T(points), ``(..., 2)``."""
        return self._rows(points) @ self._coefficients

    def jacobian(self, points: Float) -> Float:
        """``(..., 2, 2)``: entry i, j is the derivative of T's coordinate i along coordinate j."""
        offsets, log_squared = self._offsets(points)
        weights, linear = self._coefficients[:-3], self._coefficients[-2:]
        bent = np.einsum("...kj,ki->...ij", (log_squared + 1)[..., None] * offsets, weights)
        return np.asarray(bent + linear.T)
