"""The part of an image that the user points at: what the canvas shows, or a rectangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn._napari.controls import RECTANGLE, VIEW
from napari_dtn._napari.view import to_data, to_world
from napari_dtn.settings import Roi, parse_range

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer


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
        There is no rectangle, or nothing of the image in it; or the text is no range.
    """
    z = parse_range(slices) if slices.strip() else (None, None)
    if kind == VIEW:
        corners = _view(viewer, layer)
    elif kind == RECTANGLE:
        corners = _rectangle(viewer, layer)
    else:
        return Roi(z=z)
    sides = (layer.data[0] if layer.multiscale else layer.data).shape[-2:]
    y, x = (_inside(corners[:, axis], side) for axis, side in enumerate(sides))
    return Roi(z, y, x)


def _view(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> Any:
    """Corners of what the canvas shows, ``(2, 2)`` pixels (y, x) of the layer."""
    if viewer.dims.ndisplay != 2:
        raise ValueError("The view is three-dimensional: switch to 2D, or choose another region.")
    factors = layer.downsample_factors[layer.data_level][-2:] if layer.multiscale else (1, 1)
    return layer.corner_pixels[:, -2:] * factors + [[0, 0], factors]


def _rectangle(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> Any:
    """Pixels (y, x) of the layer around the selected shape, or the last one, ``(P, 2)``."""
    from napari.layers import Shapes

    shapes = viewer.layers.selection.active
    if not isinstance(shapes, Shapes) or not len(shapes.data):
        raise ValueError("There is no rectangle: draw one in a Shapes layer, and leave that layer selected.")
    chosen = max(shapes.selected_data, default=len(shapes.data) - 1)
    world = [to_world(viewer, shapes, point)[-2:] for point in shapes.data[chosen]]
    middle = to_world(viewer, layer, [0.0] * layer.ndim)[:-2]
    return np.array([to_data(viewer, layer, (*middle, *point))[-2:] for point in world])


def _inside(values: Any, length: int) -> tuple[int, int]:
    start = max(int(np.floor(values.min())), 0)
    stop = min(int(np.ceil(values.max())), length)
    if start >= stop:
        raise ValueError("Nothing of the image lies in the chosen region; move it over the image.")
    return start, stop
