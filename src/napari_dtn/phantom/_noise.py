"""Smooth random fields, evaluated one section at a time, and the bending of coordinates by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shape = tuple[int, int, int]

COEFFICIENT_STD = 2.9  # three splines average a unit variance away to about 1 / 2.9


@dataclass(frozen=True)
class SmoothNoise:
    """Noise of about unit variance: a tensor product of cubic B-splines on random coefficients.

    Parameters
    ----------
    coefficients
        Shape (z, y, x) counts of splines.
    depth
        Sections between two splines.
    rows, columns
        Weights of the splines in each row (Y, y) and in each column (X, x).
    """

    coefficients: Floats
    depth: float
    rows: Floats
    columns: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape, depth: float, width: float) -> SmoothNoise:
        """Draw noise that varies over ``depth`` sections and ``width`` pixels, for a (Z, Y, X) volume."""
        spacing = (depth, width, width)
        counts = [int(np.ceil((n + 1) / step)) + 4 for n, step in zip(shape, spacing, strict=True)]
        coefficients = rng.standard_normal(counts, dtype=np.float32) * COEFFICIENT_STD
        rows, columns = (_spline_weights(np.arange(shape[i]) / width, counts[i]) for i in (1, 2))
        return cls(coefficients, depth, rows, columns)

    def at(self, z: float) -> Floats:
        """Evaluate section z, shape (Y, X); fractions between -1 and the last section + 1 are allowed."""
        weights = _spline_weights(np.array([(z + 1) / self.depth]), len(self.coefficients))[0]
        plane = np.tensordot(weights, self.coefficients, axes=1)
        values: Floats = self.rows @ plane @ self.columns.T
        return values


def _spline_weights(positions: NDArray[np.float64], count: int) -> Floats:
    """Cubic B-spline weights of ``count`` coefficients at each position, shape (positions, count)."""
    t = np.abs(positions[:, None] + 1 - np.arange(count))
    near, far = 2 / 3 - t**2 * (1 - t / 2), np.maximum(2 - t, 0) ** 3 / 6
    return np.where(t < 1, near, far).astype(np.float32)


@dataclass(frozen=True)
class Bend:
    """A smooth displacement of the coordinates, of ``amplitude`` pixels (standard deviation)."""

    y: SmoothNoise
    x: SmoothNoise
    amplitude: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, shape: Shape, depth: float, width: float, amplitude: float
    ) -> Bend:
        """Draw a bend that varies over ``depth`` sections and ``width`` pixels."""
        y, x = (SmoothNoise.draw(rng, shape, depth, width) for _ in range(2))
        return cls(y, x, amplitude)

    def apply(self, z: float, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Bend the coordinates y, x (Y, X) of section z."""
        amplitude = np.float32(self.amplitude)
        return y + amplitude * self.y.at(z), x + amplitude * self.x.at(z)
