"""Annotations as a Labels layer over their image: brush, polygon, a key for each class, boxes to review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_dtn._napari.layers import KEY, place_of, same_place
from napari_dtn._napari.overlays import find
from napari_dtn._napari.painted import PaintedLabels
from napari_dtn.colours import CLASSES, ORANGE

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn.annotate import Annotations

    Box = tuple[slice, slice, slice]

ANNOTATIONS, BOXES = "annotations", "reviewed boxes"
BRUSH, POLYGON = "paint", "polygon"
_DRAWN = 500  # ms after which a new layer is on the screen
_BRUSH = 6  # pixels of the image: about a membrane with its rim


class AnnotationLayer:
    """The layer of one image's annotations.

    Parameters
    ----------
    viewer, image
        Where it goes.
    annotations
        What it shows.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, image: napari.layers.Layer, annotations: Annotations
    ) -> None:
        self._viewer, self.image = viewer, image
        self.painted = PaintedLabels(annotations.levels)
        self.classes = annotations.classes
        self.layer = self._shown()
        self.layer.colormap = _colours(len(self.classes))
        self.layer.brush_size = _BRUSH
        self.use(1)

    def use(self, value: int, tool: str = "") -> None:
        """Paint class ``value - 1`` from now on, 0 to forget; with the tool in hand, or another."""
        self.layer.selected_label = value
        if tool or str(self.layer.mode) not in (BRUSH, POLYGON):
            self.layer.mode = tool or BRUSH
        self._viewer.layers.selection.active = self.layer

    def show(self, settled: bool) -> None:
        """Show the annotations anew; once all that was painted is on disk, from there."""
        if settled:
            self.painted.settle()
        self.layer.refresh()

    def retire(self) -> None:
        """Leave the annotations to be looked at, and take the boxes out."""
        self.layer.editable = False
        boxes = find(self._viewer, self.image, BOXES)
        if boxes is not None:
            self._viewer.layers.remove(boxes)

    def boxes(self) -> napari.layers.Shapes:
        """Return the layer to draw boxes in, set up for rectangles; made where it is missing."""
        layer = find(self._viewer, self.image, BOXES)
        if layer is None:
            layer = self._viewer.add_shapes(
                ndim=3,
                name=f"{self.image.name} {BOXES}",
                metadata={KEY: {"role": BOXES}},
                edge_color=ORANGE,
                face_color="transparent",
                edge_width=2,
                **place_of(self.image),
            )
        layer.mode = "add_rectangle"
        self._viewer.layers.selection.active = layer
        return layer

    def _shown(self) -> napari.layers.Labels:
        """Return the layer with our data: one that was left on an image of this name, if it can be used.

        A layer keeps to one scale, or to several. napari 0.9 may crash in the graphics driver when a Labels
        layer takes the place of a removed one, so one that cannot be used goes after ours was drawn.
        """
        layer = find(self._viewer, self.image, ANNOTATIONS)
        several = len(self.painted.levels) > 1
        if layer is not None and layer.multiscale != several:
            self._let_go(layer)
            layer = None
        if layer is None:
            return self._added()
        if several:
            layer.show(self.painted)
        else:
            layer.data = self.painted
        same_place(layer, self.image)
        layer.editable = True
        return layer

    def _let_go(self, layer: napari.layers.Labels) -> None:
        """Give the name of a layer away, and take it out soon."""
        layers = self._viewer.layers
        layer.name = f"{layer.name} of before"
        QTimer.singleShot(_DRAWN, lambda: layers.remove(layer) if layer in layers else None)

    def _added(self) -> napari.layers.Labels:
        from napari_dtn._napari.pyramid_labels import PyramidLabels

        look = {
            "name": f"{self.image.name} {ANNOTATIONS}",
            "metadata": {KEY: {"role": ANNOTATIONS}},
            "opacity": 0.55,
            **place_of(self.image),
        }
        if len(self.painted.levels) == 1:
            return self._viewer.add_labels(self.painted, **look)
        return self._viewer.add_layer(PyramidLabels(self.painted, **look))


def taken_boxes(layer: napari.layers.Shapes, shape: tuple[int, ...]) -> list[Box]:
    """Take the rectangles out of a layer: boxes ``(z, y, x)`` within a volume of this shape."""
    boxes = [_box(np.asarray(corners), shape) for corners in layer.data]
    layer.data = []
    return [box for box in boxes if all(side.start < side.stop for side in box)]


def _box(corners: Any, shape: tuple[int, ...]) -> Box:
    low, high = corners.min(axis=0), corners.max(axis=0)
    z = min(max(round(float(low[0])), 0), shape[0] - 1)
    y, x = (
        slice(max(round(float(a)), 0), min(round(float(b)), side))
        for a, b, side in zip(low[1:], high[1:], shape[1:], strict=True)
    )
    return slice(z, z + 1), y, x


def _colours(classes: int) -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[int | None, str] = {value + 1: CLASSES[value % len(CLASSES)] for value in range(classes)}
    return DirectLabelColormap(color_dict={**colours, 0: "transparent", None: "transparent"})
