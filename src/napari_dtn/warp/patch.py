r"""The patch of a pixel: what of the image decides about it, as the network bends it.

The layers between a pair's encoder and decoder work on the warped map. An output pixel p is decided there at
:math:`q = T^{-1}(p)`, by the square that these layers see around q; every pixel of the square shows the
image at its T, and around that what the layers ahead of the encoder see. The skip connections that stay out
of the warp see a smaller square around p itself.

::

    image       p . . . . . . . . the learned patch: T(square), widened by the layers ahead of the warp
                |T^-1                  ^
    warped map  q  ->  square around q |T

Without a warp (T = identity) the patch is the square of a plain U-Net. Bilinear reading and writing add up to
a pixel of the map on each side, which is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from skimage.measure import find_contours

from napari_dtn.settings import NetworkSettings
from napari_dtn.warp.receptive import Window, plain_square, square, widening
from napari_dtn.warp.spline import Float
from napari_dtn.warp.tile import Place, Warp

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Patch:
    """What decides about a pixel of the slice.

    Parameters
    ----------
    pixel
        ``(y, x)`` in the slice.
    origin
        First pixel ``(y, x)`` of the tile in the slice; the masks are of the tile.
    place
        Where the warped map holds the pixel: :math:`T^{-1}`, through all levels with a pair.
    warped
        ``(size, size)``: what is seen through the warp.
    skip
        ``(size, size)``: what is seen over the skip connections that stay out of it; empty where none does.
    plain
        ``(size, size)``: the square of a U-Net of the same shape.
    """

    pixel: tuple[int, int]
    origin: tuple[int, int]
    place: Place
    warped: Mask
    skip: Mask
    plain: Mask

    @property
    def learned(self) -> Mask:
        """All that is seen, ``(size, size)``."""
        return self.warped | self.skip

    @property
    def solutions(self) -> int:
        """How many places show the pixel."""
        return self.place.solutions

    @property
    def area_ratio(self) -> float:
        """Area of the learned patch, in areas of the plain one."""
        return float(self.learned.sum() / self.plain.sum())

    @property
    def elongation(self) -> float:
        """Of the learned patch; see :func:`elongation`. At a tile's border also a plain square is cut."""
        return elongation(self.learned)

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the learned patch, in pixels."""
        y, x = (np.flatnonzero(self.learned.any(axis)) for axis in (1, 0))
        return int(np.ptp(y)) + 1, int(np.ptp(x)) + 1


def patch_of(
    warps: Sequence[Warp],
    settings: NetworkSettings,
    pixel: tuple[int, int],
    origin: tuple[int, int],
    size: int,
) -> Patch:
    """Return the patch of a pixel.

    Parameters
    ----------
    warps
        All warps of the tile; of nested pairs, the deeper one bends what the other has bent. None for a
        U-Net, whose patch is its square.
    settings
        Shape of the network.
    pixel
        ``(y, x)`` in the slice, within the tile.
    origin, size
        First pixel of the tile in the slice, and its side.
    """
    warps = sorted(warps, key=lambda warp: warp.level)
    inside = pixel[0] - origin[0], pixel[1] - origin[1]
    plain = _mask(plain_square(settings, inside, size), size)
    depths = [warp.level - (settings.skip == "warped") for warp in warps] + [settings.levels]
    skip = _mask(square(settings, inside, size, depths[0]), size) if depths[0] else np.zeros_like(plain)
    place, warped = Place(*pixel, 1), np.zeros_like(plain)
    for number, warp in enumerate(warps, start=1):
        found = warp.find((place.y, place.x))
        place = Place(found.y, found.x, found.solutions * place.solutions)
        warped |= _seen(warps[:number], settings, _nearest(place, origin, size), size, depths[number])
    return Patch(pixel, origin, place, warped if warps else plain, skip if warps else plain, plain)


def _seen(
    warps: Sequence[Warp], settings: NetworkSettings, inside: tuple[int, int], size: int, depth: int
) -> Mask:
    """What the path over one level sees through all of these warps, the coarsest last."""
    mask = _mask(square(settings, inside, size, depth, warps[-1].level), size)
    for warp, above in zip(reversed(warps), [*(one.level for one in reversed(warps[:-1])), 0], strict=True):
        mask = _widened(_moved(mask, warp), widening(above, warp.level))
    return mask


def _nearest(place: Place, origin: tuple[int, int], size: int) -> tuple[int, int]:
    y, x = (min(max(round(at - o), 0), size - 1) for at, o in zip((place.y, place.x), origin, strict=True))
    return y, x


def _mask(box: Window, size: int) -> Mask:
    mask = np.zeros((size, size), bool)
    mask[box] = True
    return mask


def _moved(mask: Mask, warp: Warp) -> Mask:
    """Take every pixel to where it looks; what falls outside of the tile shows nothing."""
    pixels = np.argwhere(mask).astype(np.float64) + warp.origin
    looked = np.rint(warp.look(pixels) - warp.origin).astype(int)
    looked = looked[((looked >= 0) & (looked < mask.shape)).all(1)]
    moved = np.zeros_like(mask)
    moved[looked[:, 0], looked[:, 1]] = True
    return moved


def _widened(mask: Mask, pixels: int) -> Mask:
    return np.asarray(maximum_filter(mask, 2 * pixels + 1, mode="constant"))


def elongation(mask: Mask) -> float:
    """Return how much longer a shape is along its longest direction than across: 1 for a square or a disc.

    The ratio of the standard deviations of its area along its principal axes.
    """
    points = np.argwhere(mask).astype(np.float64)
    spread = np.atleast_2d(np.cov(points.T, bias=True)) + np.eye(2) / 12  # of a pixel's own area
    short, long = np.linalg.eigvalsh(spread)
    return float(np.sqrt(long / short))


def outlines(mask: Mask, origin: tuple[int, int] = (0, 0)) -> list[Float]:
    """Return the closed outlines ``(P, 2)`` ``(y, x)`` of a mask, in pixels of the slice."""
    padded = np.pad(mask, 1).astype(np.float32)
    return [line - 1 + origin for line in find_contours(padded, 0.5)]  # type: ignore[no-untyped-call]
