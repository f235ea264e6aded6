"""Where in an image the user looks: calm signals out of the viewer's many events."""

from __future__ import annotations

from itertools import product
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QElapsedTimer, QObject, QTimer, Signal

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

_CALM = 120  # ms without another event


class ViewWatcher(QObject):
    """Says that the user looks at another place, once slider and camera, and the cursor, have come to rest.

    Parameters
    ----------
    viewer
        Whose view it is.
    parent
        Qt's owner.
    cursor
        Whether the cursor counts.
    calm
        ms without another event after which all is at rest.
    patience
        ms after which it says so although things still move; 0 to wait for as long as it takes.

    Signals
    -------
    moved
        Ask :func:`looked_at` for the place.
    """

    moved = Signal()

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        parent: QObject | None = None,
        cursor: bool = True,
        calm: int = _CALM,
        patience: int = 0,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._cursor, self._patience = cursor, patience
        self.cursor_moved = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(calm)
        self._timer.timeout.connect(self.moved)
        self._moving = QElapsedTimer()

    def start(self) -> None:
        """Watch."""
        self.cursor_moved = False
        if self._cursor:
            self._viewer.cursor.events.position.connect(self._on_cursor)
        for event in self._events():
            event.connect(self._restart)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.stop()
        if self._cursor:
            self._viewer.cursor.events.position.disconnect(self._on_cursor)
        for event in self._events():
            event.disconnect(self._restart)

    def _events(self) -> list[Any]:
        viewer = self._viewer
        return [
            viewer.dims.events.current_step,
            viewer.dims.events.ndisplay,
            viewer.dims.events.order,
            camera_of(viewer).events.center,
            camera_of(viewer).events.zoom,
            *([viewer.canvas.events.size] if hasattr(viewer, "canvas") else []),
        ]

    def _on_cursor(self, event: Any = None) -> None:
        self.cursor_moved = True
        self._restart()

    def _restart(self, event: Any = None) -> None:
        if not self._timer.isActive():
            self._moving.start()
        if self._patience and self._moving.elapsed() > self._patience:
            self._timer.stop()
            self.moved.emit()
        else:
            self._timer.start()


def camera_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the camera, which napari 0.9 moved."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def to_data(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, position: Any) -> list[float]:
    """World coordinates -> those of a layer's data, its last axes.

    The world's unit is the smallest of all layers, and a layer's own functions know its own unit alone.
    """
    ours = [at * by for at, by in zip(list(position)[-layer.ndim :], _own(viewer, layer), strict=True)]
    return [float(at) for at in layer.world_to_data(ours)]


def to_world(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, at: Any) -> list[float]:
    """Coordinates of a layer's data -> those of the world; the other way round than :func:`to_data`."""
    ours = layer.data_to_world(at)
    return [float(one) / by for one, by in zip(ours, _own(viewer, layer), strict=True)]


def _own(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> list[float]:
    """How many of a layer's units one of the world's is, along each axis; napari before 0.9 has none."""
    world = getattr(viewer.layers, "units", None)
    if world is None:
        return [1.0] * layer.ndim
    pairs = zip(world[-layer.ndim :], layer.units, strict=True)
    return [1.0 if one == ours else float((1 * one).to(ours).magnitude) for one, ours in pairs]


def slice_in_view(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> int:
    """Return the index of the layer's slice that the viewer shows; 0 for a single slice.

    Where the viewer shows a place outside of the layer, it is the nearest slice.
    """
    if layer.ndim < 3:
        return 0
    return _inside(viewer, layer, viewer.dims.point)[-3]


def part_in_view(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> tuple[slice, slice] | None:
    """Return the pixels (y, x) of a layer that the canvas shows; None where there are none.

    The layer's own ``corner_pixels`` are more: napari enlarges them to whole chunks.
    """
    camera, shown = camera_of(viewer), viewer.dims.displayed
    size = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    corners = []
    for signs in product((-1, 1), repeat=2):
        position = list(viewer.dims.point)
        for axis, centre, sign, side in zip(shown, camera.center[-2:], signs, size, strict=True):
            position[axis] = centre + sign * side / (2 * camera.zoom)
        corners.append(to_data(viewer, layer, position)[-2:])
    parts = []
    for ends, length in zip(zip(*corners, strict=True), _shape(layer)[-2:], strict=True):
        start, stop = max(floor(min(ends) + 0.5), 0), min(ceil(max(ends) + 0.5), length)
        if start >= stop:
            return None
        parts.append(slice(start, stop))
    return parts[0], parts[1]


def shows_slices(viewer: napari.viewer.Viewer) -> bool:
    """Tell whether a flat view shows the last two axes: slices, not a cut across them."""
    return viewer.dims.ndisplay == 2 and set(viewer.dims.displayed) == {
        viewer.dims.ndim - 2,
        viewer.dims.ndim - 1,
    }


def show_slice(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, z: int) -> None:
    """Let the viewer show slice z of a layer."""
    if layer.ndim == 3:
        middle = [(size - 1) / 2 for size in _shape(layer)]
        viewer.dims.set_point(viewer.dims.ndim - 3, to_world(viewer, layer, (z, *middle[1:]))[0])


def fly_to(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, at: tuple[float, float, float]) -> None:
    """Bring voxel (z, y, x) of a layer to the centre of the view."""
    z, y, x = to_world(viewer, layer, at)[-3:]
    viewer.dims.set_point(viewer.dims.ndim - 3, z)
    camera_of(viewer).center = (*camera_of(viewer).center[:-2], y, x)


def looked_at(
    viewer: napari.viewer.Viewer, layer: napari.layers.Layer, cursor: bool = True
) -> tuple[int, int, int]:
    """Return the pixel (z, y, x) that the user looks at.

    Parameters
    ----------
    viewer, layer
        The pixel is one of the layer.
    cursor
        Whether the cursor counts while it is on the canvas; otherwise it is the centre of the view.
    """
    position = list(viewer.dims.point)
    if cursor and viewer.mouse_over_canvas and len(viewer.cursor.position) == len(position):
        position = list(viewer.cursor.position)
    else:
        shown = viewer.dims.displayed
        for axis, centre in zip(shown, camera_of(viewer).center[-len(shown) :], strict=True):
            position[axis] = centre
    y, x = _inside(viewer, layer, position)[-2:]
    return slice_in_view(viewer, layer), y, x


def _inside(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, position: Any) -> list[int]:
    """World coordinates -> the nearest pixel of a layer."""
    data = to_data(viewer, layer, position)
    return [min(max(round(at), 0), size - 1) for at, size in zip(data, _shape(layer), strict=True)]


def _shape(layer: napari.layers.Layer) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)
