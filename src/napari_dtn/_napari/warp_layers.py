"""Drawings of warps as layers on top of an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn import colours
from napari_dtn._napari.layers import BOUNDARY_LOOK, KEY, TILE_WARP, WARP, place_of, role_of, same_place
from napari_dtn._napari.overlays import find, selection_kept
from napari_dtn._napari.warp_drawing import (
    AREA,
    ARROWS,
    CHANGED,
    COMPARED,
    EFFECTIVE,
    FIDUCIALS,
    FOLDS,
    GRID,
    MOVES,
    PATCH,
    TILE_ARROWS,
    TILE_FIDUCIALS,
    TILE_GRID,
    Drawing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.layers
    import napari.viewer

_THUMBNAIL = 16  # vectors in a layer's thumbnail: napari takes 40 ms to paint its own thousand
_LINE, _ARROW, _POINT, _OUTLINE = 1.5, 4.0, 8.0, 2.5  # pixels of the image
_TWICE = float(np.log(2))  # of the area map's colours: half the area, or twice

_CHANGED_COLORS = [(0.34, 0.71, 0.91, 1.0), (1.0, 1.0, 1.0, 0.0), (0.84, 0.37, 0.0, 1.0)]
_GLOW = [(0.94, 0.89, 0.26, 0.0), (0.94, 0.89, 0.26, 0.6), (1.0, 1.0, 0.8, 0.9)]

LOOKS: dict[str, dict[str, Any]] = {
    GRID: {"edge_color": colours.SKY, "edge_width": _LINE, "vector_style": "line", "opacity": 0.8},
    ARROWS: {"edge_color": colours.ORANGE, "edge_width": _ARROW, "vector_style": "arrow", "opacity": 1.0},
    MOVES: {"edge_width": 3.0, "vector_style": "arrow", "opacity": 1.0},
    PATCH: {"edge_width": _OUTLINE, "vector_style": "line", "opacity": 1.0},
    FIDUCIALS: {"face_color": colours.YELLOW, "border_color": "black", "size": _POINT, "border_width": 0.1},
    FOLDS: {"symbol": "x", "face_color": colours.VERMILION, "border_color": "white", "size": _POINT},
    AREA: {"contrast_limits": (-_TWICE, _TWICE), "opacity": 0.8},
    EFFECTIVE: {"contrast_limits": (0, 1), "opacity": 0.9},
    COMPARED: BOUNDARY_LOOK,
    CHANGED: {"contrast_limits": (-1, 1), "opacity": 1.0},
}
_OF_TILE = {TILE_GRID: GRID, TILE_ARROWS: ARROWS, TILE_FIDUCIALS: FIDUCIALS}
LOOKS |= {what: LOOKS[alike] for what, alike in _OF_TILE.items()}
_COLORMAPS = {AREA: colours.AREA, CHANGED: _CHANGED_COLORS, EFFECTIVE: _GLOW}


def show(viewer: napari.viewer.Viewer, image: napari.layers.Layer, drawing: Drawing) -> None:
    """Let the warp layers of an image show a drawing; made where they are missing."""
    for _ in showing(viewer, image, drawing):
        pass


def showing(viewer: napari.viewer.Viewer, image: napari.layers.Layer, drawing: Drawing) -> Iterator[None]:
    """Do what :func:`show` does, a layer at a time: napari takes some hundredths of a second for each."""
    steps = [
        *(partial(_show_picture, viewer, image, what, drawing) for what in drawing.pictures),
        *(partial(_show_segments, viewer, image, what, drawing) for what in drawing.segments),
        *(partial(_show_points, viewer, image, what, drawing) for what in drawing.points),
    ]
    for step in steps:
        with selection_kept(viewer):
            step()
        yield


def _show_points(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str, drawing: Drawing
) -> None:
    points, layer = on_slice(drawing.points[what], drawing.z), find(viewer, image, what)
    if layer is None:
        viewer.add_points(points, **_options(image, what))
    else:
        _put_data(layer, points)
        layer.selected_data = set()


def on_slice(points: Any, z: float) -> Any:
    """``(P, 2)`` ``(y, x)`` -> ``(P, 3)`` ``(z, y, x)``."""
    return np.column_stack([np.full(len(points), float(z)), points])


def _options(image: napari.layers.Layer, what: str) -> dict[str, Any]:
    facts = {KEY: {"role": TILE_WARP if what in _OF_TILE else WARP}}
    return {"name": f"{image.name} {what}", "metadata": facts, **place_of(image), **LOOKS[what]}


def _show_segments(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str, drawing: Drawing
) -> None:
    from napari.layers import Vectors

    segments, colors = drawing.segments[what], drawing.colors.get(what)
    data = np.stack([on_slice(segments[:, 0], drawing.z), on_slice(segments[:, 1], 0)], axis=1)
    layer = find(viewer, image, what)
    if layer is None:
        own = {} if colors is None or not len(colors) else {"edge_color": colors}
        layer = Vectors(data, **(_options(image, what) | own))
        layer._max_vectors_thumbnail = _THUMBNAIL
        viewer.layers.append(layer)
        return
    _put_data(layer, data)
    if colors is not None and len(colors):
        layer.edge_color = colors


def _put_data(layer: napari.layers.Layer, data: Any) -> None:
    """Replace what a layer shows; told of a new extent, napari would slice all layers anew."""
    with layer.events.data.blocker(), layer.events.extent.blocker():
        layer.data = data


def _show_picture(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str, drawing: Drawing
) -> None:
    picture, layer = drawing.pictures[what], find(viewer, image, what)
    data, inset = picture.values[None], ((drawing.z, *picture.corner), picture.step)
    if layer is None:
        viewer.layers.insert(_above_pictures(viewer), _new_picture(image, what, data, inset))
        return
    if layer.data.shape != data.shape or layer.metadata[KEY]["inset"] != inset:
        with layer.events.blocker_all():  # a new place with old data would be drawn in vain
            _put(layer, image, inset)
    _put_data(layer, data)


def _above_pictures(viewer: napari.viewer.Viewer) -> int:
    """Return the place below the first of the lines and points, which a picture would hide."""
    from napari.layers import Image

    ours = ((n, one) for n, one in enumerate(viewer.layers) if role_of(one) in (WARP, TILE_WARP))
    return next((n for n, one in ours if not isinstance(one, Image)), len(viewer.layers))


def _new_picture(image: napari.layers.Layer, what: str, data: Any, inset: Any) -> napari.layers.Image:
    from napari.layers import Image
    from napari.utils import Colormap

    facts = {KEY: {"role": WARP}}
    interpolation = "nearest" if what == CHANGED else "linear"
    layer = Image(
        data,
        name=f"{image.name} {what}",
        metadata=facts,
        interpolation2d=interpolation,
        **LOOKS[what],
    )
    if what in _COLORMAPS:
        layer.colormap = Colormap(_COLORMAPS[what], name=f"napari-dtn {what}")
    if what == AREA and hasattr(layer, "colorbar"):
        layer.colorbar.visible = True
    _put(layer, image, inset)
    return layer


def _put(layer: napari.layers.Layer, image: napari.layers.Layer, inset: Any) -> None:
    layer.metadata[KEY]["inset"] = inset
    same_place(layer, image)


def hide(viewer: napari.viewer.Viewer, role: str) -> None:
    """Take every warp of a role out of the viewer: those of a view, or those of a tile."""
    for layer in [layer for layer in viewer.layers if role_of(layer) == role]:
        viewer.layers.remove(layer)


def remove(viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str) -> None:
    """Take one of an image's layers out of the viewer."""
    layer = find(viewer, image, what)
    if layer is not None:
        viewer.layers.remove(layer)
