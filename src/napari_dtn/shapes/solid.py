"""An object is cut out of its labels, coarser where it would not fit into memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import block_reduce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.settings import VoxelSize
    from napari_dtn.shapes.facts import Box

Factor = tuple[int, int, int]
_BYTES = 6  # of a voxel: its share, and what marching cubes makes of it
_PIECE = 2**24  # voxels that are read at once


@dataclass(frozen=True, eq=False)
class Solid:
    """An object as a block of voxels.

    Parameters
    ----------
    id
        Of the object.
    inside
        (Z, Y, X), uint8: how much of each voxel belongs to it, 255 for all.
    first
        Centre of the first voxel, nm, (z, y, x).
    voxel_size
        nm, (Z, Y, X).
    factor
        How many voxels of the labels are one of these, along Z, Y and X.
    """

    id: int
    inside: NDArray[np.uint8]
    first: VoxelSize
    voxel_size: VoxelSize
    factor: Factor


def factor_for(shape: tuple[int, ...], voxel_size: VoxelSize, memory: int, detail: float = 0.0) -> Factor:
    """Return how much coarser a box may be, and must be to fit into memory.

    Parameters
    ----------
    shape, voxel_size
        Of the box: (Z, Y, X), and nm.
    memory
        In bytes; until the box fits, its finest axis is halved.
    detail
        Length that need not be seen, nm.
    """
    factor = [_doublings(side, detail) for side in voxel_size]
    while max(_BYTES, memory) < _BYTES * prod(coarse := _coarse(shape, factor)):
        sides = [side * by for side, by in zip(voxel_size, factor, strict=True)]
        axis = min((one for one in range(3) if coarse[one] > 1), key=sides.__getitem__)
        factor[axis] *= 2
    z, y, x = factor
    return z, y, x


def _doublings(side: float, detail: float) -> int:
    by = 1
    while 2 * by * side <= detail:
        by *= 2
    return by


def factor_words(factor: Factor) -> str:
    """Say what was made coarser; nothing where nothing was."""
    if factor == (1, 1, 1):
        return ""
    return f"; {' × '.join(map(str, factor))} voxels (Z × Y × X) were taken as one"


def cut_out(
    labels: Any,
    number: int,
    box: Box,
    voxel_size: VoxelSize,
    memory: int,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    detail: float = 0.0,
) -> Iterator[Solid | None]:
    """Cut an object out of its labels; yields None after each part that was read, and the object at last.

    Parameters
    ----------
    labels
        (Z, Y, X), array-like: only the box is read, a part at a time.
    number
        Id of the object.
    box
        Holds it, ``((z0, z1), (y0, y1), (x0, x1))``.
    voxel_size, translation
        Of the labels, nm, (Z, Y, X).
    memory
        What the object may take, in bytes.
    detail
        Length that need not be seen, nm: voxels are taken as one while these are no longer.

    Raises
    ------
    ValueError
        No voxel of the box has the id.
    """
    starts, shape = tuple(a for a, _ in box), tuple(b - a for a, b in box)
    factor = factor_for(shape, voxel_size, memory, detail)
    inside = np.zeros(_coarse(shape, factor), np.uint8)
    for coarse, fine in _parts(shape, factor):
        place = tuple(slice(part.start + at, part.stop + at) for part, at in zip(fine, starts, strict=True))
        inside[coarse] = _shares(np.asarray(labels[place]) == number, factor)
        yield None
    if not inside.any():
        raise ValueError(f"There is no object {number} any more.")
    first = tuple(
        shift + side * (at + (by - 1) / 2)
        for shift, side, at, by in zip(translation, voxel_size, starts, factor, strict=True)
    )
    sides = tuple(side * by for side, by in zip(voxel_size, factor, strict=True))
    yield Solid(number, inside, first, sides, factor)  # type: ignore[arg-type]


def _coarse(shape: tuple[int, ...], factor: Any) -> tuple[int, ...]:
    return tuple(-(-size // by) for size, by in zip(shape, factor, strict=True))


def _parts(shape: tuple[int, ...], factor: Factor) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield parts of a box that are small enough to be read at once: coarse, and in voxels of the labels."""
    depth, height, width = _coarse(shape, factor)
    rows = max(_PIECE // (width * prod(factor)), 1)
    for z in range(depth):
        for y in range(0, height, rows):
            coarse = slice(z, z + 1), slice(y, min(y + rows, height)), slice(0, width)
            fine = tuple(
                slice(part.start * by, min(part.stop * by, size))
                for part, by, size in zip(coarse, factor, shape, strict=True)
            )
            yield coarse, fine


def _shares(inside: NDArray[np.bool_], factor: Factor) -> NDArray[np.uint8]:
    """Return how much of each coarse voxel is inside, never rounded to nothing; past the box nothing is."""
    if factor == (1, 1, 1):
        return inside.astype(np.uint8) * np.uint8(255)
    means: NDArray[np.float64] = block_reduce(inside, factor, np.mean)  # type: ignore[no-untyped-call]
    return np.maximum(np.rint(255 * means), means > 0).astype(np.uint8)
