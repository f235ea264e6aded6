r"""How far a network sees: the pixels of its image that an output pixel depends on, from its settings.

Every path of the network goes up from an output pixel to some level and, through that level's skip connection
or the deepest map, down to the image. Along each axis it sees an interval: a double convolution widens it
by two pixels of its map, a step to the coarser map takes pixel i to i // 2, one to the finer map i to
2 i and 2 i + 1. The path over the deepest map sees what all others do.
"""

from __future__ import annotations

from napari_dtn.settings import NetworkSettings

_DOUBLE = 2  # pixels by which two 3 x 3 convolutions see further
Window = tuple[slice, slice]


def interval(settings: NetworkSettings, pixel: int, depth: int, level: int = 0) -> slice:
    """Return the pixels of the image, along an axis, that an output pixel sees over one level.

    Parameters
    ----------
    settings
        Shape of the network; no warp is taken into account.
    pixel
        The output pixel, counted from the border of the tile.
    depth
        The path's coarsest level: its skip connection, or the deepest map.
    level
        Where to stop on the way back to the image: at the map of this level, behind its convolutions, whose
        pixels are given as what they cover of the image; 0 is the image itself.

    Returns
    -------
    slice
        May reach beyond the borders of the tile.
    """
    first = last = pixel
    for at in range(1, depth + 1):
        if at < settings.levels:
            first, last = first - _DOUBLE, last + _DOUBLE
        if at < depth:
            first, last = first // 2, last // 2
    for at in range(depth, level, -1):
        first, last = first - _DOUBLE, last + _DOUBLE
        if at > 1:
            first, last = 2 * first, 2 * last + 1
    stride = 1 << max(level - 1, 0)
    return slice(first * stride, (last + 1) * stride)


def square(
    settings: NetworkSettings, pixel: tuple[int, int], size: int, depth: int, level: int = 0
) -> Window:
    """Return :func:`interval` along y and x, within a tile of this size."""
    y, x = (interval(settings, at, depth, level) for at in pixel)
    return _within(y, size), _within(x, size)


def plain_square(settings: NetworkSettings, pixel: tuple[int, int], size: int) -> Window:
    """Return all that a plain U-Net of this shape sees in a tile."""
    return square(settings, pixel, size, settings.levels)


def widening(above: int, level: int) -> int:
    """Return by how many pixels of the image the levels behind ``above``, up to ``level``, see further."""
    return _DOUBLE * ((1 << level) - (1 << above))


def _within(side: slice, size: int) -> slice:
    return slice(max(side.start, 0), min(side.stop, size))
