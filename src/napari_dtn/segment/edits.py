"""Editing of labels: ids of a box and a wish become the ids of the box afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from napari_dtn.settings import Overlap


def paint(
    ids: NDArray[np.uint32],
    mask: NDArray[np.bool_],
    number: int,
    overlap: Overlap = "keep",
    locked: Collection[int] = (),
) -> NDArray[np.uint32]:
    """Give the pixels of a mask to an object, which has no others in the box.

    Parameters
    ----------
    ids
        Of a box, any shape.
    mask
        Same shape.
    number
        The object.
    overlap
        What happens to other objects under the mask: they ``keep`` their pixels, the new one ``cut`` s these
        out of them, or it ``replace`` s them: they lose all their pixels.
    locked
        Objects that keep their pixels whatever happens.
    """
    out = np.where(ids == number, np.uint32(0), ids)
    if overlap == "replace":
        out = relabel(out, set(np.unique(out[mask]).tolist()) - {*locked}, 0)
    mine = mask & ~np.isin(out, list(locked)) if overlap == "cut" else mask & (out == 0)
    out[mine] = number
    return out


def relabel(ids: NDArray[np.uint32], old: Iterable[int], new: int) -> NDArray[np.uint32]:
    """Give the pixels of some objects to another: merging them; a new one of 0 deletes them."""
    return np.where(np.isin(ids, list(old)), np.uint32(new), ids)


def relabel_part(ids: NDArray[np.uint32], part: NDArray[np.bool_], old: int, new: int) -> NDArray[np.uint32]:
    """Give a part of an object to another: splitting it."""
    return np.where((ids == old) & part, np.uint32(new), ids)


def fill_holes(ids: NDArray[np.uint32], number: int) -> NDArray[np.uint32]:
    """Give background that an object encloses in a slice, ``(Y, X)``, to it."""
    holes = binary_fill_holes(ids == number) & (ids == 0)
    return np.where(holes, np.uint32(number), ids)


def smooth(ids: NDArray[np.uint32], number: int, sigma: float = 2.0) -> NDArray[np.uint32]:
    """Smooth the outline of an object in a slice, ``(Y, X)``; other objects keep their pixels.

    Parts so thin or small that nothing would be left of them stay as they are.

    Parameters
    ----------
    ids
        With a margin of some sigma around the object.
    number
        The object.
    sigma
        Standard deviation of the Gaussian whose half is the new outline, in pixels.
    """
    mine = ids == number
    smoothed = gaussian_filter(mine.astype(np.float32), sigma) > 0.5
    parts, _ = label(mine, np.ones((3, 3)))
    smoothed |= mine & ~np.isin(parts, parts[smoothed])
    out = np.where(mine & ~smoothed, np.uint32(0), ids)
    return np.where(smoothed & (out == 0), np.uint32(number), out)


def between(below: NDArray[np.bool_], above: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return the masks that lead from one mask to another, ``(count, Y, X)``.

    The signed distance to the outline is interpolated (Raya and Udupa 1990, shape-based interpolation).

    Raises
    ------
    ValueError
        A mask is empty.
    """
    if not (below.any() and above.any()):
        raise ValueError("The object is missing in one of the two slices, so there is nothing to lead from.")
    first, last = _signed_distance(below), _signed_distance(above)
    steps = np.arange(1, count + 1, dtype=np.float32)[:, None, None] / (count + 1)
    return np.asarray((1 - steps) * first + steps * last > 0)


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the distance to the outline in pixels, positive inside; half a pixel is the nearest.

    What lies past the edges is outside.
    """
    wide = np.pad(mask, 1)
    distance = (distance_transform_edt(wide) - distance_transform_edt(~wide))[1:-1, 1:-1]
    return np.asarray(distance - np.sign(distance) / 2, np.float32)
