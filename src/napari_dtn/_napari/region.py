"""The part of an image that the user points at: what the canvas shows, or a rectangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn._napari.controls import RECTANGLE, VIEW
from napari_dtn._napari.view import part_in_view, shows_slices, to_data, to_world
from napari_dtn.settings import Roi, parse_range

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    Bounds = tuple[int, int]

_NOTHING = "Nothing of the image lies in the chosen region; move it over the image."


def region_of(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, kind: str, slices: str = "") -> Roi:
    """Return a region of an image layer in its voxels.

    Parameters
    ----------
    viewer, layer
        The region is one of the layer.
    kind
        One of the panel's regions.
    slices
        ``start:stop``, or nothing for all.

    Raises
    ------
    ValueError
        There is no rectangle; the view does not show slices (Y, X); nothing of the image is in either; or
        the text is no range.
    """
    z = parse_range(slices) if slices.strip() else (None, None)
    if kind == VIEW:
        y, x = _view(viewer, layer)
    elif kind == RECTANGLE:
        y, x = _rectangle(viewer, layer)
    else:
        return Roi(z=z)
    return Roi(z, y, x)


def _view(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> tuple[Bounds, Bounds]:
    """Pixels (y, x) of the layer that the canvas shows."""
    if viewer.dims.ndisplay != 2:
        raise ValueError("The view is three-dimensional: switch to 2D, or choose another region.")
    if not shows_slices(viewer):
        raise ValueError(
            "The view cuts across the slices, and a region is one of slices (Y, X). Switch back to the view "
            "of them, or choose another region."
        )
    part = part_in_view(viewer, layer)
    if part is None:
        raise ValueError(_NOTHING)
    y, x = part
    return (y.start, y.stop), (x.start, x.stop)


def _rectangle(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> tuple[Bounds, Bounds]:
    """Pixels (y, x) of the layer around the selected shape, or the last one."""
    from napari.layers import Shapes

    shapes = viewer.layers.selection.active
    if not isinstance(shapes, Shapes) or not len(shapes.data):
        raise ValueError("There is no rectangle: draw one in a Shapes layer, and leave that layer selected.")
    chosen = max(shapes.selected_data, default=len(shapes.data) - 1)
    world = [to_world(viewer, shapes, point)[-2:] for point in shapes.data[chosen]]
    middle = to_world(viewer, layer, [0.0] * layer.ndim)[:-2]
    corners = np.array([to_data(viewer, layer, (*middle, *point))[-2:] for point in world])
    height, width = (layer.data[0] if layer.multiscale else layer.data).shape[-2:]
    return _inside(corners[:, 0], height), _inside(corners[:, 1], width)


def _inside(values: Any, length: int) -> Bounds:
    start = max(int(np.floor(values.min())), 0)
    stop = min(int(np.ceil(values.max())), length)
    if start >= stop:
        raise ValueError(_NOTHING)
    return start, stop
