"""How wide things are: what a warp's areas are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Structure:
    """The processes of a slice.

    Parameters
    ----------
    distance
        Of each pixel from the nearest boundary, ``(Y, X)``, in nm; 0 on boundaries.
    width
        Of the process that a pixel belongs to: diameter of the largest disc in it, in nm; 0 on boundaries.
    """

    distance: Float
    width: Float


def structure_of(boundary: NDArray[np.bool_], pixel_size: tuple[float, float]) -> Structure:
    """Measure the processes, the connected regions between boundaries, of a slice ``(Y, X)``."""
    inside = ~boundary
    distance = np.asarray(ndimage.distance_transform_edt(inside, sampling=pixel_size))
    if not boundary.any():  # scipy measures the distance from somewhere, then
        distance = np.full(boundary.shape, np.hypot(*(np.array(boundary.shape) * pixel_size)))
    processes, count = ndimage.label(inside)
    widest = np.zeros(count + 1)
    widest[1:] = 2 * ndimage.maximum(distance, processes, np.arange(1, count + 1)) if count else 0
    return Structure(distance, widest[processes])
