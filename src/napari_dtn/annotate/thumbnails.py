"""Small pictures of what is annotated, for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.colours import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.annotate.regions import Region

_AROUND = 96  # pixels of the slice that are shown at least


def thumbnail(region: Region, image: Any, labels: Any, side: int = 64) -> NDArray[np.uint8]:
    """Draw a region: the image in grey from black to white, annotated pixels in the colours of their classes.

    Parameters
    ----------
    region
        What is drawn, in a square around it.
    image, labels
        (Z, Y, X), anything that slices to NumPy.
    side
        Of the picture, in pixels.

    Returns
    -------
    numpy.ndarray
        (side, side, 3); less of it where the slice is smaller than the square.
    """
    height = max(region.y.stop - region.y.start, region.x.stop - region.x.start, _AROUND)
    y, x = (
        _around(middle, height, length)
        for middle, length in zip(region.centre[1:], image.shape[1:], strict=True)
    )
    grey, known = np.asarray(image[region.z, y, x], np.float32), np.asarray(labels[region.z, y, x])
    scale = side / height
    rows, columns = (np.arange(max(round(length * scale), 1)) / scale for length in grey.shape)
    small = np.ix_(_within(rows, grey.shape[0]), _within(columns, grey.shape[1]))
    picture = in_grey(grey)[small]
    draw(picture, known, scale)
    return picture


def in_grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values (Y, X) as colours (Y, X, 3), from black, the smallest, to white, the largest."""
    contrast = (values - values.min()) / max(float(np.ptp(values)), 1.0)
    return np.repeat(np.round(255 * contrast).astype(np.uint8)[..., None], 3, axis=2)


def draw(picture: NDArray[np.uint8], known: NDArray[np.uint8], scale: float = 1.0) -> None:
    """Draw every annotated pixel, so that thin strokes are seen; the first classes over the others.

    Parameters
    ----------
    picture
        Colours (height, width, 3); drawn on.
    known
        (Y, X): 1 + class, 0 where nothing is annotated.
    scale
        Pixels of the picture for each of ``known``.
    """
    for value in range(int(known.max(initial=0)), 0, -1):
        places = zip(np.nonzero(known == value), picture.shape[:2], strict=True)
        y, x = (_within(one * scale, side) for one, side in places)
        picture[y, x] = rgb(value - 1)


def rgb(number: int) -> tuple[int, int, int]:
    """Return the colour of a class."""
    red, green, blue = bytes.fromhex(CLASSES[number % len(CLASSES)][1:])
    return red, green, blue


def _around(middle: int, height: int, length: int) -> slice:
    start = min(max(middle - height // 2, 0), max(length - height, 0))
    return slice(start, min(start + height, length))


def _within(places: NDArray[Any], length: int) -> NDArray[np.intp]:
    return np.minimum(places.astype(np.intp), length - 1)
