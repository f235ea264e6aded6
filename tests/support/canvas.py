"""Where voxels of the layer ``em`` are on the canvas of a panel's window."""

from __future__ import annotations

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QWidget

from napari_dtn._napari.view import camera_of


def canvas_of(panel: QWidget) -> QWidget:
    """The widget that takes the mouse."""
    return panel._viewer.window._qt_window._qt_viewer.canvas.native


def place_of(panel: QWidget, voxel: tuple[int, int, int]) -> QPoint:
    """Where a voxel (z, y, x) is on it, in its slice."""
    viewer, canvas = panel._viewer, canvas_of(panel)
    _, y, x = viewer.layers["em"].data_to_world(voxel)
    camera = camera_of(viewer)
    (cy, cx), zoom = camera.center[-2:], camera.zoom
    return QPoint(round(canvas.width() / 2 + (x - cx) * zoom), round(canvas.height() / 2 + (y - cy) * zoom))
