"""Annotation as pieces of a volume, held in memory: what a run learns from stays what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.settings import Box

Annotation = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Piece:
    """The annotation of a box of one slice.

    Parameters
    ----------
    z, y, x
        Its place.
    known
        uint8 ``(height, width)``: 0 not annotated, otherwise 1 + class index.
    """

    z: int
    y: slice
    x: slice
    known: Annotation

    @property
    def box(self) -> Box:
        """Its place in the volume."""
        return slice(self.z, self.z + 1), self.y, self.x


@dataclass(frozen=True, eq=False)
class Pieces:
    """A sparse annotation that slices to NumPy as an array would; where there is no piece it is 0.

    Parameters
    ----------
    shape
        Of the volume, ``(Z, Y, X)``.
    pieces
        Where pieces overlap, what is annotated in either is annotated.
    """

    shape: tuple[int, int, int]
    pieces: tuple[Piece, ...]
    dtype = np.dtype(np.uint8)
    ndim = 3

    def __getitem__(self, where: int | tuple[int, slice, slice]) -> Annotation:
        z, *sides = where if isinstance(where, tuple) else (where, slice(None), slice(None))
        y, x = (_bounded(side, length) for side, length in zip(sides, self.shape[1:], strict=True))
        window = np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)
        for piece in self.pieces:
            if piece.z == z:
                _paste(window, y.start, x.start, piece)
        return window


def _bounded(axis: slice, length: int) -> slice:
    start, stop, _ = axis.indices(length)
    return slice(start, max(start, stop))


def _paste(window: Annotation, top: int, left: int, piece: Piece) -> None:
    y, own_y = _shared(top, window.shape[0], piece.y)
    x, own_x = _shared(left, window.shape[1], piece.x)
    window[y, x] = np.maximum(window[y, x], piece.known[own_y, own_x])


def _shared(start: int, length: int, side: slice) -> tuple[slice, slice]:
    """What a window and a side of a piece share, as the window counts and as the piece counts."""
    first = max(start, side.start)
    last = max(min(start + length, side.stop), first)
    return slice(first - start, last - start), slice(first - side.start, last - side.start)


def read_pieces(annotation: Any, boxes: Sequence[Box]) -> list[Piece]:
    """Read the annotation of boxes, slice by slice; what is empty is left out.

    Parameters
    ----------
    annotation
        uint8 ``(Z, Y, X)``, lazy or not.
    boxes
        Where to read; without any, every slice is read and its smallest box of annotation found.
    """
    depth, height, width = (slice(0, int(side)) for side in annotation.shape)
    found = []
    for z, y, x in boxes or [(depth, height, width)]:
        for number in range(z.start, z.stop):
            piece = _trimmed(number, y.start, x.start, np.asarray(annotation[number, y, x], np.uint8))
            found += [piece] if piece else []
    return found


def _trimmed(z: int, top: int, left: int, known: Annotation) -> Piece | None:
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    y, x = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return Piece(z, _moved(y, top), _moved(x, left), known[y, x].copy())


def _moved(side: slice, by: int) -> slice:
    return slice(side.start + by, side.stop + by)


def within(piece: Piece, boxes: Sequence[Box], margin: int = 0) -> NDArray[np.bool_]:
    """Return which pixels of a piece lie in any of the boxes.

    Parameters
    ----------
    piece
        The piece.
    boxes
        ``(z, y, x)``.
    margin
        Pixels by which the boxes are larger on each side within their slices.
    """
    inside = np.zeros(piece.known.shape, bool)
    for z, y, x in boxes:
        if z.start <= piece.z < z.stop:
            rows = _own(piece.y, y.start - margin, y.stop + margin)
            inside[rows, _own(piece.x, x.start - margin, x.stop + margin)] = True
    return inside


def _own(side: slice, start: int, stop: int) -> slice:
    return slice(max(start - side.start, 0), max(stop - side.start, 0))


def cut(piece: Piece, side: int) -> list[Piece]:
    """Cut a piece into cells of at most this side; empty ones are left out."""
    corners = [
        (y, x) for y in range(0, piece.known.shape[0], side) for x in range(0, piece.known.shape[1], side)
    ]
    cells = [
        _trimmed(piece.z, piece.y.start + y, piece.x.start + x, piece.known[y : y + side, x : x + side])
        for y, x in corners
    ]
    return [cell for cell in cells if cell]


def masked(piece: Piece, keep: NDArray[np.bool_]) -> list[Piece]:
    """Return the piece with what is kept of it, or nothing."""
    left = _trimmed(piece.z, piece.y.start, piece.x.start, np.where(keep, piece.known, 0).astype(np.uint8))
    return [left] if left else []
