"""What is known about pixels, from what somebody said or drew: arrays in, annotation out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_cdt

from napari_dtn.metrics import boundary_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Annotation = NDArray[np.uint8]

NOT_ANNOTATED, BOUNDARY, INSIDE = 0, 1, 2
LEAVE = 255
"""In what a source returns: the pixel stays as it is."""

DOUBT = 3
"""Pixels by which an object may reach into the membrane around it: nothing is said about them."""


def reviewed_box(annotation: Annotation, inside: int = INSIDE) -> Annotation:
    """Complete the annotation of a box in which all boundary was painted: the rest of it is inside.

    Parameters
    ----------
    annotation
        Of the box, any shape.
    inside
        The class of the rest.
    """
    return np.where(annotation == NOT_ANNOTATED, np.uint8(inside), annotation)


def from_ids(ids: NDArray[Any]) -> Annotation:
    """Return the annotation that a segmentation is, by the rule of what a boundary is.

    Parameters
    ----------
    ids
        Integers, (Y, X) or (Z, Y, X); 0 is membrane.
    """
    return np.where(boundary_target(ids), BOUNDARY, INSIDE).astype(np.uint8)


def from_object(ids: NDArray[Any], number: int, doubt: int = DOUBT) -> Annotation:
    """Return what an object says about its pixels and those next to it.

    Its outermost pixels and those that touch it are boundary, by the rule of what a boundary is. Pixels
    within ``doubt`` of these are not annotated, since objects meet in the middle of a membrane whose width
    nobody said. The rest of the object is inside, and everything else is left as it is.

    Parameters
    ----------
    ids
        Of a window of a slice, (Y, X), a pixel larger than the object where the slice goes on.
    number
        The object.
    doubt
        In pixels.
    """
    mine = ids == number
    near = binary_dilation(mine)
    rim = near & boundary_target(np.where(mine, np.uint8(2), np.uint8(1)))
    depth = distance_transform_cdt(mine & ~rim, "taxicab") if rim.any() else np.full(ids.shape, doubt + 1)
    said = np.where(rim, BOUNDARY, np.where(depth > doubt, INSIDE, NOT_ANNOTATED))
    return np.where(near, said, LEAVE).astype(np.uint8)
