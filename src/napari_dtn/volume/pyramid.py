"""Coarser levels: blocks of 2 x 2 pixels become one."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Region = tuple[slice, ...]


def coarser(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the next level: Y and X halved, rounded up."""
    *outer, y, x = shape
    return (*outer, -(-y // 2), -(-x // 2))


def regions(shape: tuple[int, ...], side: int) -> Iterator[Region]:
    """Yield parts of single slices, of at most side x side pixels, in reading order."""
    steps = (*(1 for _ in shape[:-2]), side, side)
    starts = (range(0, size, step) for size, step in zip(shape, steps, strict=True))
    for start in product(*starts):
        yield tuple(slice(a, min(a + step, size)) for a, step, size in zip(start, steps, shape, strict=True))


def under(region: Region, shape: tuple[int, ...]) -> Region:
    """Return the part of the finer level, of this shape, that a region of the next level stands for."""
    *outer, y, x = region
    fine = (
        slice(2 * one.start, min(2 * one.stop, size)) for one, size in zip((y, x), shape[-2:], strict=True)
    )
    return (*outer, *fine)


def mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the means of 2 x 2 blocks, (..., Y, X) -> (..., Y / 2, X / 2), rounded for integers."""
    means: NDArray[Any] = _blocks(pixels).mean(axis=0, dtype=np.float64)
    return (means if pixels.dtype.kind == "f" else np.rint(means)).astype(pixels.dtype)


def mode(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the most frequent values of 2 x 2 blocks; the first in reading order where several are."""
    blocks = _blocks(pixels)
    votes = (blocks[:, None] == blocks[None]).sum(axis=1, dtype=np.uint8)
    modes: NDArray[Any] = np.take_along_axis(blocks, votes.argmax(axis=0)[None], axis=0)[0]
    return modes


def _blocks(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the four pixels of every block, (4, ..., Y / 2, X / 2); the border is repeated."""
    odd = [(0, 0)] * (pixels.ndim - 2) + [(0, size % 2) for size in pixels.shape[-2:]]
    whole = np.pad(pixels, odd, mode="edge")
    return np.stack([whole[..., y::2, x::2] for y, x in product((0, 1), (0, 1))])
