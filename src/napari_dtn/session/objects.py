"""Where objects are in their slices, and changes of them as patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.patches import patch_between
from napari_dtn.shapes.facts import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dtn.segment.extents import Extent
    from napari_dtn.segment.patches import Patch, Rectangle


def rectangles(*groups: Iterable[Extent]) -> dict[int, Rectangle]:
    """Return, for each slice of some objects, the rectangle that holds them."""
    slices: dict[int, list[Extent]] = {}
    for extent in (one for group in groups for one in group):
        slices.setdefault(extent.z, []).append(extent)
    return {z: bounds(there) for z, there in slices.items()}


def patches_over(
    labels: Any, places: dict[int, Rectangle], change: Callable[..., NDArray[Any]]
) -> Iterator[Patch]:
    """Yield what a change of the ids does, slice by slice.

    Parameters
    ----------
    labels
        (Z, Y, X).
    places
        The rectangle to change in each slice.
    change
        Called with the slice, its rectangle as two slices, and the ids in it; returns the new ids.
    """
    for z, (y0, y1, x0, x1) in sorted(places.items()):
        y, x = slice(y0, y1), slice(x0, x1)
        before = np.asarray(labels[z, y, x])
        patch = patch_between(z, (y0, x0), before, change(z, y, x, before))
        if patch is not None:
            yield patch


def widened(place: Rectangle, margin: int, shape: tuple[int, ...]) -> Rectangle:
    """Return a rectangle with a margin, inside of a slice of this shape (Y, X)."""
    y0, y1, x0, x1 = place
    return max(y0 - margin, 0), min(y1 + margin, shape[0]), max(x0 - margin, 0), min(x1 + margin, shape[1])
