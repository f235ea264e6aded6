"""The warps of many tiles as one picture of a slice: lines, arrows, areas and folds.

Tiles overlap, and each has a warp of its own. A pixel shows the tile that weighs most in its prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_dtn.warp.spline import Float
from napari_dtn.warp.tile import Warp


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of a slice that shows the warp of one tile.

    Parameters
    ----------
    warp
        Of the tile.
    y, x
        Pixels of the slice at which the tile weighs most.
    """

    warp: Warp
    y: slice
    x: slice

    def points(self, step: int) -> Float:
        """Return the centres of squares of ``step`` pixels on a lattice of the slice, ``(h, w, 2)``."""
        y, x = (_places(side, step) for side in (self.y, self.x))
        points: Float = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
        return points

    def log_area(self, step: int) -> Float:
        """Return the logarithm of the Jacobian determinant, ``(h, w)``; minus infinity where T folds over."""
        determinant = self.warp.determinant(self.points(step))
        logarithm: Float = np.full(determinant.shape, -np.inf)
        upright = determinant > 0
        logarithm[upright] = np.log(determinant[upright])
        return logarithm


def _places(side: slice, step: int) -> Float:
    """Centres, on a lattice that begins at pixel 0, in the range: each is in one of ranges that meet."""
    numbers = np.arange(_first(side, step), _first(slice(side.stop, None), step))
    return np.asarray(numbers * step + (step - 1) / 2, np.float64)


def _first(side: slice, step: int) -> int:
    """Return which centre of the lattice is the first in a range of pixels."""
    return int(-((step - 2 * side.start) // (2 * step)))


def moves(piece: Piece, step: int) -> Float:
    """Return starts and displacements every ``step`` pixels, ``(N, 2, 2)`` ``(y, x)``."""
    start = piece.points(step).reshape(-1, 2)
    return np.stack([start, piece.warp.look(start) - start], axis=1)


def arrow_segments(piece: Piece, factor: float = 1) -> Float:
    """Return the fiducial points in a piece: starts and displacements, ``(N, 2, 2)`` ``(y, x)``.

    Parameters
    ----------
    piece
        Of a slice.
    factor
        By how much displacements are exaggerated.
    """
    arrows = piece.warp.arrows
    (y, x), low, high = arrows[:, 0].T, (piece.y.start, piece.x.start), (piece.y.stop, piece.x.stop)
    inside = (y >= low[0] - 0.5) & (y < high[0] - 0.5) & (x >= low[1] - 0.5) & (x < high[1] - 0.5)
    return np.asarray(arrows[inside] * [[1], [factor]])


def line_segments(piece: Piece, spacing: int, step: int, factor: float = 1) -> Float:
    """Return the straight lines of a grid on the slice, as T bends them, in short segments.

    Parameters
    ----------
    piece
        Of a slice.
    spacing
        Pixels from line to line.
    step
        Pixels along a line from joint to joint.
    factor
        By how much displacements are exaggerated.

    Returns
    -------
    numpy.ndarray
        Starts and displacements, ``(N, 2, 2)`` ``(y, x)``.
    """
    lines = [*_lines(piece.y, piece.x, spacing, step)]
    lines += [line[:, ::-1] for line in _lines(piece.x, piece.y, spacing, step)]
    if not lines:
        return np.zeros((0, 2, 2))
    joints = np.concatenate(lines)
    bent = joints + factor * (piece.warp.look(joints) - joints)
    starts = np.concatenate([np.arange(len(line)) < len(line) - 1 for line in lines])[:-1]
    segments: Float = np.stack([bent[:-1], np.diff(bent, axis=0)], axis=1)
    return np.asarray(segments[starts])


def _lines(across: slice, along: slice, spacing: int, step: int) -> list[Float]:
    """Return the joints ``(P, 2)`` of lines at multiples of ``spacing``, from edge to edge of a piece."""
    joints = np.append(np.arange(along.start, along.stop, step), along.stop) - 0.5
    first = -(-across.start // spacing) * spacing
    return [
        np.stack([np.full_like(joints, at - 0.5), joints], axis=1)
        for at in range(first, across.stop, spacing)
    ]


def mosaic(pieces: Sequence[Piece], step: int) -> tuple[Float, tuple[int, int]]:
    """Return the log area of pieces as one picture.

    Parameters
    ----------
    pieces
        Of one slice, at least one.
    step
        Pixels of the slice along a pixel of the picture.

    Returns
    -------
    tuple
        The picture ``(h, w)``, not a number where there is no piece; and its first pixel's place
        ``(y, x)`` on the lattice, in pixels of the picture.
    """
    shown = [(piece.log_area(step), _first(piece.y, step), _first(piece.x, step)) for piece in pieces]
    y0, x0 = min(y for _, y, _ in shown), min(x for *_, x in shown)
    height = max(y + field.shape[0] for field, y, _ in shown) - y0
    width = max(x + field.shape[1] for field, _, x in shown) - x0
    picture = np.full((height, width), np.nan)
    for field, y, x in shown:
        picture[y - y0 : y - y0 + field.shape[0], x - x0 : x - x0 + field.shape[1]] = field
    return picture, (y0, x0)
