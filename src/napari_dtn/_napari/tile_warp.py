"""While its box is ticked, the warp of the tile under the cursor lies over the image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from napari_dtn._napari import tasks, warp_layers
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.layers import TILE_WARP
from napari_dtn._napari.view import ViewWatcher, looked_at
from napari_dtn._napari.warp_drawing import draw_tile

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer
    from qtpy.QtWidgets import QCheckBox

    from napari_dtn._napari.live import Ask


class TileWarp(QObject):
    """Follows the cursor, or the middle of the view.

    Parameters
    ----------
    viewer
        Whose cursor, and who gets the layers.
    box
        Its box.
    desk
        Keeps the model.
    request
        Says what is chosen; raises ValueError where that does not do.
    parent
        Qt's owner.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        box: QCheckBox,
        desk: tasks.Desk,
        request: Ask,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._box, self._desk, self._request = viewer, box, desk, request
        self._image: napari.layers.Image | None = None
        self._shown: Any = None
        self.lane = Lane(self)
        self.lane.stepped.connect(self._on_found)
        self.lane.ended.connect(self._on_ended)
        self._watcher = ViewWatcher(viewer, self)
        self._watcher.moved.connect(self.look)
        box.toggled.connect(self._toggle)

    def stop(self) -> None:
        """Untick the box."""
        self._box.setChecked(False)

    @notified
    def _toggle(self, on: bool) -> None:
        self._shown = None
        if not on:
            self._watcher.stop()
            self.lane.cancel()
            warp_layers.hide(self._viewer, TILE_WARP)
            return
        try:
            self._request()
        except ValueError:
            self.stop()
            raise
        self._watcher.start()
        self.look()

    def look(self) -> None:
        """Show the warp of what is looked at now."""
        if not self._box.isChecked():
            return
        try:
            layer, request = self._request()
        except ValueError:  # the layer went away; the next choice starts again
            warp_layers.hide(self._viewer, TILE_WARP)
            return
        if layer is not self._image:
            warp_layers.hide(self._viewer, TILE_WARP)
        at = looked_at(self._viewer, layer, self._watcher.cursor_moved)
        self._image = layer
        self.lane.start("Showing the warp", partial(tasks.warp, self._desk, request, at, self._shown))

    def _on_found(self, found: tasks.WarpFound) -> None:
        if not found.warps:
            self.stop()
            show_info(f"The model {found.model} has no transformer, so it has no warp to show.")
        elif self._image in self._viewer.layers:
            self._shown = found.tile
            warp_layers.show(self._viewer, self._image, draw_tile(found.z, found.warps))

    def _on_ended(self) -> None:
        if self.lane.outcome == "failed":  # and would again, wherever the cursor goes
            self.stop()
