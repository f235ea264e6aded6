"""Windows of a slice: what two of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lay(piece: NDArray[Any], at: tuple[int, int], out: NDArray[Any], y: slice, x: slice) -> None:
    """Copy what a piece of a slice and a window of it share into the window.

    Parameters
    ----------
    piece
        ``(height, width)``.
    at
        Its first pixel (y, x) in the slice.
    out
        The window; changed in place.
    y, x
        Its rows and columns in the slice.
    """
    shared = [
        slice(max(start, side.start), min(start + size, side.stop))
        for start, size, side in zip(at, piece.shape, (y, x), strict=True)
    ]
    if all(one.start < one.stop for one in shared):
        into, taken = (
            tuple(
                slice(one.start - first, one.stop - first) for one, first in zip(shared, corner, strict=True)
            )
            for corner in ((y.start, x.start), at)
        )
        out[into] = piece[taken]
