"""The mouse of the click panel: clicks on the canvas become voxels of the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_dtn._napari.view import camera_of, to_data

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

_LEFT, _RIGHT = 1, 2
_STILL = 4.0  # pixels of the canvas: a hand that moves less has clicked


class Clicks(QObject):
    """Says which voxel of an image was clicked.

    Left includes, right or Ctrl-left excludes; with Shift held down a scribble is drawn, with Shift and Ctrl
    one that excludes. With Alt, or while ``merging`` is on, a line is drawn across objects. Dragging moves
    the view as ever.

    Signals
    -------
    clicked
        Voxel (z, y, x), and whether it is included.
    scribbled
        Voxels, and whether they are included.
    crossed
        Voxels that a line was drawn over.

    Attributes
    ----------
    merging
        Whether lines are drawn without Alt, and clicks are lines of one voxel.
    swapped
        Whether left excludes, and right or Ctrl-left includes.
    """

    clicked = Signal(object, bool)
    scribbled = Signal(object, bool)
    crossed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Any = None
        self.merging = self.swapped = False

    def watch(self, image: napari.layers.Layer | None) -> None:
        """Watch the mouse over an image, or no longer."""
        if self._image is None and image is not None:
            self._viewer.mouse_drag_callbacks.append(self._on_press)
        elif self._image is not None and image is None:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)
        self._image = image

    def _on_press(self, viewer: napari.viewer.Viewer, event: Any) -> Iterator[None]:
        if not self._means_us(event):
            return
        positive = (event.button == _LEFT and "Control" not in event.modifiers) != self.swapped
        merges = (self.merging or "Alt" in event.modifiers) and event.button == _LEFT
        scribbles = merges or "Shift" in event.modifiers
        camera = camera_of(viewer)
        places, start = [self._voxel(event)], np.array(event.pos, float)
        camera.mouse_pan = not scribbles
        try:
            yield
            moved = 0.0
            while event.type == "mouse_move":
                moved = max(moved, float(np.linalg.norm(np.array(event.pos, float) - start)))
                places.append(self._voxel(event))
                yield
        finally:
            camera.mouse_pan = True
        inside = tuple(dict.fromkeys(place for place in places if place is not None))
        if merges and inside:
            self.crossed.emit(inside)
        elif scribbles and len(inside) > 1:
            self.scribbled.emit(inside, positive)
        elif moved < _STILL and inside:
            self.clicked.emit(inside[0], positive)

    def _means_us(self, event: Any) -> bool:
        """Whether the press is not meant for a brush, another window of time, or the 3D view."""
        layer = self._viewer.layers.selection.active
        free = layer is None or str(layer.mode) in {"pan_zoom", "Mode.PAN_ZOOM"}
        return free and self._viewer.dims.ndisplay == 2 and event.button in (_LEFT, _RIGHT)

    def _voxel(self, event: Any) -> tuple[int, int, int] | None:
        """Return the voxel of the image under the cursor; None outside."""
        image = self._image
        shape = (image.data[0] if image.multiscale else image.data).shape
        at = [round(one) for one in to_data(self._viewer, image, event.position)]
        if any(not 0 <= one < size for one, size in zip(at, shape, strict=True)):
            return None
        z, y, x = [0] * (3 - len(at)) + at
        return z, y, x
